"""Tiny models with deformable attention, random weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn
from transformers.models.rf_detr.configuration_rf_detr import RfDetrConfig, RfDetrDinov2Config

from regard.zoo.inputs import ids, image
from regard.zoo.segmentation import MASK2FORMER
from regard.zoo.sizes import TEXT, swin

SIDE = 128


@dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
        name: How tests call it.
        build: Gives the model.
        calls: Deformable calls of one pass.
        levels_hw: Levels of the first call, in the model's order.
        points: Points a level of the last call.
        inputs: What it takes besides pixels.
        side: Of the square image.
    """

    name: str
    build: Callable[[], Any]
    calls: int
    levels_hw: tuple[tuple[int, int], ...]
    points: tuple[int, ...]
    inputs: Callable[[], dict[str, Tensor]] = dict
    side: int = SIDE

    def __str__(self) -> str:
        return self.name


def run(row: Row, model: nn.Module) -> Any:
    """One forward pass."""
    with torch.no_grad():
        return model(pixel_values=image(side=row.side), **row.inputs())


def built(row: Row) -> Any:
    """The model, with points that differ from query to query, in evaluation mode."""
    torch.manual_seed(0)
    model = row.build().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("sampling_offsets.weight", "attention_weights.weight")):
                parameter.copy_(torch.randn(parameter.shape) / parameter.shape[1] ** 0.5)
    return model


STAGES = ["stage2", "stage3", "stage4"]
DETR: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "num_queries": 6,
}
RT_DETR: dict[str, Any] = DETR | {
    "encoder_hidden_dim": 32,
    "encoder_in_channels": [16, 16, 32],
    "decoder_in_channels": [32, 32, 32],
    "feat_strides": [8, 16, 32],
    "hidden_expansion": 1.0,
    "num_denoising": 0,
    "anchor_image_size": None,
}
LW_DETR: dict[str, Any] = {
    "d_model": 32,
    "decoder_layers": 2,
    "decoder_self_attention_heads": 4,
    "decoder_cross_attention_heads": 4,
    "decoder_ffn_dim": 32,
    "num_queries": 6,
    "group_detr": 1,
}
SMALL_RESNET: dict[str, Any] = {
    "embedding_size": 8,
    "hidden_sizes": [8, 16, 16, 32],
    "depths": [1, 1, 1, 1],
}
VIT: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": SIDE,
    "patch_size": 16,
}


def deformable_detr(*, two_stage: bool = False) -> Any:
    config = hf.DeformableDetrConfig(
        **DETR,
        backbone_config=hf.ResNetConfig(**SMALL_RESNET, out_features=STAGES),
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        num_feature_levels=4,
        two_stage=two_stage,
        with_box_refine=two_stage,
        two_stage_num_proposals=6,
    )
    return hf.DeformableDetrForObjectDetection(config)


def hgnet(stages: list[str]) -> Any:
    return hf.HGNetV2Config(
        **{**SMALL_RESNET, "hidden_sizes": [16, 16, 16, 32]},
        stem_channels=[3, 8, 8],
        stage_in_channels=[8, 16, 16, 16],
        stage_mid_channels=[8, 8, 8, 8],
        stage_out_channels=[16, 16, 16, 32],
        stage_num_blocks=[1, 1, 1, 1],
        stage_numb_of_layers=[2, 2, 2, 2],
        out_features=stages,
    )


def rt_detr(family: str, **more: Any) -> Callable[[], Any]:
    """RT-DETR, or one of those that grew from it."""

    def build() -> Any:
        if family.startswith("RTDetr"):
            basic = {**SMALL_RESNET, "layer_type": "basic", "out_features": STAGES}
            backbone: Any = hf.RTDetrResNetConfig(**basic)
        else:
            backbone = hgnet(["stage1", *STAGES] if family == "PPDocLayoutV3" else STAGES)
        config = getattr(hf, f"{family}Config")(**{**RT_DETR, **more}, backbone_config=backbone)
        return getattr(hf, f"{family}Model")(config)

    return build


def lw_detr() -> Any:
    backbone = hf.LwDetrViTConfig(
        **VIT,
        pretrain_image_size=SIDE,
        num_windows=4,
        window_block_indices=[0],
        out_features=["stage1", "stage2"],
    )
    more = {"projector_scale_factors": [1.0], "decoder_n_points": 2}
    return hf.LwDetrModel(hf.LwDetrConfig(**LW_DETR, **more, backbone_config=backbone))


def rf_detr() -> Any:
    backbone = RfDetrDinov2Config(**VIT, num_windows=2, window_block_indexes=[0], out_indices=[2])
    return hf.RfDetrModel(RfDetrConfig(**LW_DETR, backbone_config=backbone))


def mask2former() -> Any:
    return hf.Mask2FormerModel(
        hf.Mask2FormerConfig(backbone_config=swin(1, 2, 3, 4).make(), **MASK2FORMER)
    )


def oneformer() -> Any:
    config = hf.OneFormerConfig(
        backbone_config=swin(1, 2, 3, 4).make(),
        hidden_dim=32,
        conv_dim=32,
        mask_dim=32,
        encoder_layers=1,
        encoder_feedforward_dim=32,
        decoder_layers=3,
        dim_feedforward=32,
        num_attention_heads=4,
        num_queries=6,
        query_dec_layers=1,
        task_seq_len=8,
        is_training=False,
    )
    return hf.OneFormerModel(config)


def grounding_dino(family: str) -> Callable[[], Any]:
    def build() -> Any:
        config = getattr(hf, f"{family}Config")(
            **{**DETR, "d_model": 64, "decoder_layers": 1, "dropout": 0.0},
            backbone_config=swin(2, 3, 4).make(),
            use_timm_backbone=False,
            text_config=hf.BertConfig(**TEXT),
            max_text_len=16,
        )
        return getattr(hf, f"{family}Model")(config)

    return build


def text() -> dict[str, Tensor]:
    return {"input_ids": ids()}


def task() -> dict[str, Tensor]:
    return {"task_inputs": torch.ones(1, 8, dtype=torch.long)}


THREE = ((16, 16), (8, 8), (4, 4))
FOUR = (*THREE, (2, 2))
LOW_FIRST = ((2, 2), (4, 4), (8, 8))
FOURS, THREE_FOURS = (4, 4, 4, 4), (4, 4, 4)
UNEVEN = {"decoder_n_points": [3, 4, 2]}

ROWS = [
    Row("deformable detr", deformable_detr, 3, FOUR, FOURS),
    Row("deformable detr, two stages", lambda: deformable_detr(two_stage=True), 3, FOUR, FOURS),
    Row("rt-detr", rt_detr("RTDetr"), 2, THREE, THREE_FOURS),
    Row("rt-detr v2", rt_detr("RTDetrV2"), 2, THREE, THREE_FOURS),
    Row(
        "rt-detr v2, discrete",
        rt_detr("RTDetrV2", decoder_method="discrete"),
        *(2, THREE, THREE_FOURS),
    ),
    Row("d-fine", rt_detr("DFine", **UNEVEN), 2, THREE, (3, 4, 2)),
    Row(
        "d-fine, discrete",
        rt_detr("DFine", **UNEVEN, decoder_method="discrete"),
        *(2, THREE, (3, 4, 2)),
    ),
    Row("deim v2", rt_detr("Deimv2"), 2, THREE, THREE_FOURS),
    Row("pp-doclayout v2", rt_detr("PPDocLayoutV2"), 2, THREE, THREE_FOURS),
    Row("pp-doclayout v3", rt_detr("PPDocLayoutV3", x4_feat_dim=16), 2, THREE, THREE_FOURS),
    Row("pp-doclayout v4", rt_detr("PPDocLayoutV4"), 2, THREE, THREE_FOURS),
    Row("lw-detr", lw_detr, 2, ((8, 8),), (2,)),
    Row("rf-detr", rf_detr, 2, ((8, 8),), (4,)),
    Row("mask2former", mask2former, 1, LOW_FIRST, THREE_FOURS, side=64),
    Row("oneformer", oneformer, 1, LOW_FIRST, THREE_FOURS, task, side=64),
    Row("grounding dino", grounding_dino("GroundingDino"), 2, FOUR, FOURS, text),
    Row("mm grounding dino", grounding_dino("MMGroundingDino"), 2, FOUR, FOURS, text),
]
