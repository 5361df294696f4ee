"""Settings of tiny models with wide inputs, so that rows and columns cannot be mistaken."""

from typing import Any

import torch

SIZE_HW = (48, 80)
"""Of the pixels: wider than high, so that rows and columns cannot be mistaken for each other."""
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "patch_size": 8,
}
WIDE: dict[str, Any] = {**SMALL, "image_size": SIZE_HW}
SQUARE: dict[str, Any] = {**SMALL, "image_size": 48}
SQUARE_HW = (48, 48)
CLIP = (1, 4)
"""Batch and frames of a video."""
SWIN = {
    **{"image_size": SIZE_HW, "patch_size": 4, "embed_dim": 16, "depths": [2, 2, 2]},
    **{"num_heads": [2, 4, 4], "window_size": 3},
}
ONE_STAGE = {"patch_size": 1, "depths": [2], "num_heads": [2], "window_size": 8}
PIXELWISE: dict[str, Any] = {"size_hw": (16, 32), "quiet": "layernorm", "focused": True}
PYRAMID: dict[str, Any] = {
    **{"hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1]},
    "num_attention_heads": [1, 2, 2, 4],
}
PYRAMID_HW = (64, 96)
CVT = {"embed_dim": [8, 16, 32], "num_heads": [1, 2, 4], "depth": [1, 2, 3]}
LEVIT = {
    **{"image_size": 128, "hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 3, 4]},
    **{"depths": [1, 1, 1], "key_dim": [8, 8, 8]},
}
VIDEO: dict[str, Any] = {**SMALL, "image_size": 48, "num_frames": 4}
PRISM = {
    **{k: v for k, v in VIDEO.items() if k != "num_hidden_layers" and k != "patch_size"},
    "tubelet_size": [1, 8, 8],
    "num_spatial_layers": 2,
    "num_temporal_layers": 2,
}
VJEPA = {
    **{k: v for k, v in VIDEO.items() if k != "image_size"},
    "crop_size": 48,
    "frames_per_clip": 4,
    "tubelet_size": 2,
    "pred_hidden_size": 32,
    "pred_num_attention_heads": 4,
    "pred_num_hidden_layers": 1,
}
JOINT, SPACE = ({"attention_type": f"{kind}"} for kind in ("joint_space_time", "space_only"))
SAM: dict[str, Any] = {
    **{"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "patch_size": 8},
    **{"window_size": 4, "global_attn_indexes": [1], "output_channels": 32, "mlp_dim": 32},
    **{"image_size": 48},
}
HIERA: dict[str, Any] = {
    **{"image_size": [64, 128], "embed_dim": 16, "depths": [2, 2, 2], "num_heads": [1, 2, 4]},
    **{"masked_unit_size": [4, 4], "masked_unit_attention": [True, True, False]},
    **{"num_query_pool": 2, "embed_dim_multiplier": 2.0},
}
SAM2: dict[str, Any] = {
    **{"hidden_size": 16, "num_attention_heads": 1, "image_size": [64, 96]},
    **{"blocks_per_stage": [1, 2, 2, 1], "embed_dim_per_stage": [16, 32, 64, 128]},
    **{"num_attention_heads_per_stage": [1, 2, 2, 4], "window_size_per_stage": [4, 2, 4, 2]},
    **{"global_attention_blocks": [4], "window_positional_embedding_background_size": [4, 4]},
}
VITDET = {**WIDE, "window_size": 4, "window_block_indices": [0]}
LW_DETR = {**SMALL, "image_size": 64, "window_block_indices": [0], "num_windows": 4}
RF_DETR = {**SQUARE, "window_block_indexes": [0], "num_windows": 2}
TEXT: dict[str, Any] = {
    **{"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"intermediate_size": 32, "max_position_embeddings": 256, "pad_token_id": 0},
    **{"bos_token_id": 1, "eos_token_id": 2},
}
LLAMA = {**TEXT, "model_type": "llama", "num_key_value_heads": 2}
IMAGE = 7
"""The id of placeholders."""
ROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
QWEN_TEXT = {**LLAMA, "model_type": "", "rope_parameters": ROPE}
QWEN2 = {"embed_dim": 32, "hidden_size": 32, "depth": 2, "num_heads": 4, "patch_size": 8}
QWEN25 = {
    **{"hidden_size": 32, "out_hidden_size": 32, "depth": 2, "num_heads": 4, "patch_size": 8},
    **{"window_size": 32, "fullatt_block_indexes": [1], "intermediate_size": 32},
}
QWEN3 = {
    **{"hidden_size": 32, "out_hidden_size": 32, "depth": 2, "num_heads": 4, "patch_size": 8},
    **{"deepstack_visual_indexes": [0], "intermediate_size": 32, "num_position_embeddings": 36},
}
WIDTH: dict[str, Any] = {"projection_dim": 32}
NINE: dict[str, Any] = {"mm_tokens_per_image": 9}
HALF: dict[str, Any] = {"scale_factor": 2}
CLIP_TOWER = {**SQUARE, "model_type": "clip_vision_model"}
SIGLIP_TOWER = {**SQUARE, "model_type": "siglip_vision_model"}
GEMMA = {**LLAMA, "model_type": "gemma", "head_dim": 8}
INTERN = {**SQUARE, "image_size": [48, 48], "patch_size": [8, 8], "model_type": "internvl_vision"}
IDEFICS3 = {**SQUARE, "model_type": "idefics3_vision"}
SMOLVLM = {**SQUARE, "model_type": "smolvlm_vision"}
GEMMA3 = {**GEMMA, "model_type": "gemma3_text"}
THREE = {**CLIP_TOWER, "num_hidden_layers": 3}
DETR: dict[str, Any] = {
    **{"use_timm_backbone": False, "use_pretrained_backbone": False, "d_model": 32},
    **{"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4, "num_queries": 5},
    **{"decoder_attention_heads": 4, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32},
}

PAIR = {"vision_config": SQUARE, "text_config": TEXT, "projection_dim": 16}
BLIP = {
    "vision_config": SQUARE,
    "text_config": TEXT | {"encoder_hidden_size": 32, "projection_dim": 16, "is_decoder": True},
    "projection_dim": 16,
}
DEPTH_PRO: dict[str, Any] = {
    "patch_size": 16,
    "fusion_hidden_size": 16,
    "intermediate_hook_ids": [1],
    "intermediate_feature_dims": [16],
    "scaled_images_feature_dims": [16, 16, 16],
    "merge_padding_value": 0,
    **{
        f"{part}_model_config": {"model_type": "dinov2", **SMALL, "patch_size": 4, "image_size": 16}
        for part in ("image", "patch", "fov")
    },
}
MLLAMA: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_global_layers": 1,
    "attention_heads": 4,
    "intermediate_size": 32,
    "image_size": 48,
    "patch_size": 8,
    "max_num_tiles": 2,
    "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
    "intermediate_layers_indices": [0],
    "vision_output_dim": 64,
}
TILES: dict[str, Any] = {
    "aspect_ratio_ids": torch.tensor([[2]]),
    "aspect_ratio_mask": torch.ones(1, 1, 2),
}
RADIO: dict[str, Any] = {**SQUARE}
SAM3: dict[str, Any] = {
    **SQUARE,
    "num_hidden_layers": 3,
    "window_size": 4,
    "global_attn_indexes": [1],
    "pretrain_image_size": 48,
}
EOMT: dict[str, Any] = {
    **SQUARE,
    "num_hidden_layers": 3,
    "num_blocks": 1,
    "num_queries": 5,
    "num_upscale_blocks": 1,
    "num_register_tokens": 2,
}
PIXTRAL: dict[str, Any] = {**SQUARE, "image_size": 96, "head_dim": 8, "model_type": "pixtral"}
SIZES: dict[str, Any] = {"image_sizes": torch.tensor([[48, 80]])}
GLM4V: dict[str, Any] = {**QWEN2, "image_size": 64, "out_hidden_size": 32, "intermediate_size": 32}
GLM_TEXT = QWEN_TEXT | {"rope_parameters": ROPE | {"partial_rotary_factor": 1.0}}
IMAGE_LATENTS: dict[str, Any] = {"size_hw": (16, 16), "channels": 4, "given": "hidden_states"}
VIDEO_LATENTS: dict[str, Any] = {"size_hw": (8, 8), "channels": 2, "given": "hidden_states"}
PERSIMMON = {"model_type": "persimmon", "partial_rotary_factor": 0.5}
UNET_LATENTS: dict[str, Any] = {"size_hw": (16, 16), "channels": 4, "given": "sample"}
UNET_LATENTS |= {"apart": True, "quiet": r"to_out|net\.2|samplers|up_blocks\.0"}
AUTOENCODED: dict[str, Any] = {"size_hw": (32, 48), "given": "sample"}
FRAMES_FIRST: dict[str, Any] = IMAGE_LATENTS | {"size_hw": (8, 8)}
QWEN35_TEXT = QWEN_TEXT | {
    **{"layer_types": ["linear_attention", "full_attention"]},
    **{f"linear_num_{kind}_heads": 2 for kind in ("key", "value")},
    **{f"linear_{kind}_head_dim": 8 for kind in ("key", "value")},
}
