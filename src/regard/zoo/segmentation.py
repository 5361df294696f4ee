"""Segmenters of transformers."""

from typing import Any

import torch

from regard.zoo.entry import Entry, config
from regard.zoo.entry import of_transformers as hf
from regard.zoo.inputs import frames, ids, image, pixels
from regard.zoo.sizes import DETR, TEXT, VIT, resnet, swin

MASK2FORMER = {
    "feature_size": 32,
    "mask_feature_size": 32,
    "hidden_dim": 32,
    "encoder_feedforward_dim": 32,
    "encoder_layers": 1,
    "decoder_layers": 3,
    "num_attention_heads": 4,
    "dim_feedforward": 32,
    "num_queries": 6,
}
ONEFORMER = {
    "hidden_dim": 32,
    "mask_dim": 32,
    "conv_dim": 32,
    "encoder_feedforward_dim": 32,
    "encoder_layers": 1,
    "decoder_layers": 3,
    "num_attention_heads": 4,
    "dim_feedforward": 32,
    "num_queries": 6,
    "query_dec_layers": 1,
    "task_seq_len": 8,
    "is_training": False,
}
SAM_VISION = {
    **{k: v for k, v in VIT.items() if k != "intermediate_size"},
    "patch_size": 8,
    "window_size": 3,
    "global_attn_indexes": [1],
    "output_channels": 32,
    "mlp_dim": 32,
    "num_pos_feats": 16,
}
SAM_PROMPT = {"hidden_size": 32, "image_size": 64, "patch_size": 8}
SAM_DECODER = {
    "hidden_size": 32,
    "mlp_dim": 32,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "iou_head_hidden_dim": 16,
}
EOMT = {
    **{k: v for k, v in VIT.items() if k != "intermediate_size"},
    "num_hidden_layers": 3,
    "mlp_ratio": 1,
    "num_blocks": 1,
    "num_queries": 5,
    "num_upscale_blocks": 1,
}


def _prompted() -> dict[str, Any]:
    return {"pixel_values": image(), "input_points": torch.tensor([[[[10.0, 10.0]]]])}


def _task() -> dict[str, Any]:
    return {"pixel_values": image(), "task_inputs": ids(8)}


ENTRIES: tuple[Entry, ...] = (
    hf(
        "maskformer",
        pixels(),
        "4 sdpa, 4 softmax",
        "MaskFormerModel",
        fpn_feature_size=32,
        mask_feature_size=32,
        backbone_config=swin(1, 2, 3, 4),
        decoder_config=config("Detr", **DETR, backbone_config=resnet(4)),
    ),
    hf(
        "mask2former",
        pixels(),
        "4 sdpa, 4 softmax, 1 deformable",
        "Mask2FormerModel",
        backbone_config=swin(1, 2, 3, 4),
        **MASK2FORMER,
    ),
    hf(
        "mask2former resnet",
        pixels(),
        "4 softmax, 1 deformable",
        "Mask2FormerModel",
        backbone_config=resnet(1, 2, 3, 4),
        **MASK2FORMER,
    ),
    hf(
        "oneformer",
        _task,
        "4 sdpa, 6 softmax, 1 deformable",
        "OneFormerModel",
        backbone_config=swin(1, 2, 3, 4),
        **ONEFORMER,
    ),
    hf("eomt", pixels(), "3 sdpa", "EomtForUniversalSegmentation", **EOMT),
    hf(
        "eomt_dinov3",
        pixels(),
        "3 sdpa",
        "EomtDinov3ForUniversalSegmentation",
        **{**EOMT, "mlp_ratio": 1} | {"intermediate_size": 32},
    ),
    hf(
        "videomt",
        frames(2, name="pixel_values_videos"),
        "4 sdpa",
        "VideomtForUniversalSegmentation",
        **EOMT,
    ),
    hf(
        "sam",
        _prompted,
        "9 sdpa",
        "SamModel",
        vision_config=SAM_VISION,
        prompt_encoder_config=SAM_PROMPT,
        mask_decoder_config=SAM_DECODER,
    ),
    hf(
        "sam eager",
        _prompted,
        "9 softmax",
        "SamModel",
        vision_config=SAM_VISION,
        prompt_encoder_config=SAM_PROMPT,
        mask_decoder_config=SAM_DECODER,
        attn_implementation="eager",
    ),
    hf(
        "sam_hq",
        _prompted,
        "9 sdpa",
        "SamHQModel",
        vision_config=SAM_VISION,
        prompt_encoder_config=SAM_PROMPT,
        mask_decoder_config=SAM_DECODER | {"vit_dim": 32},
    ),
    hf(
        "sam2",
        _prompted,
        "12 sdpa",
        "Sam2Model",
        vision_config={
            "backbone_config": config(
                "Sam2HieraDet",
                hidden_size=8,
                image_size=[64, 64],
                blocks_per_stage=[1, 1, 2, 1],
                embed_dim_per_stage=[8, 16, 32, 64],
                num_attention_heads_per_stage=[1, 1, 2, 4],
                window_size_per_stage=[4, 2, 4, 2],
                global_attention_blocks=[3],
                window_positional_embedding_background_size=[4, 4],
            ).values
            | {"model_type": "sam2_hiera_det_model"},
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": 32,
        },
        prompt_encoder_config=SAM_PROMPT | {"patch_size": 16},
        mask_decoder_config=SAM_DECODER,
        unrecorded=(("attn", "never met any values"),) * 5,
        softmaxes=17,
        because="five softmaxes are taken and thrown away",
    ),
    hf(
        "sam3",
        lambda: {"pixel_values": image(side=112), "input_ids": ids(8)},
        "10 sdpa",
        "Sam3Model",
        vision_config={
            "backbone_config": {
                "model_type": "sam3_vit_model",
                **VIT,
                "image_size": 112,
                "patch_size": 14,
                "window_size": 4,
                "global_attn_indexes": [1],
                "pretrain_image_size": 56,
            },
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        },
        text_config={**TEXT, "projection_dim": 32},
        geometry_encoder_config={
            "hidden_size": 32,
            "num_layers": 1,
            "num_attention_heads": 4,
            "intermediate_size": 32,
        },
        detr_encoder_config={
            "hidden_size": 32,
            "num_layers": 1,
            "num_attention_heads": 4,
            "intermediate_size": 32,
        },
        detr_decoder_config={
            "hidden_size": 32,
            "num_layers": 1,
            "num_queries": 5,
            "num_attention_heads": 4,
            "intermediate_size": 32,
        },
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 4},
    ),
)
