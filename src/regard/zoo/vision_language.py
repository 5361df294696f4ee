"""Vision-language models of transformers: an image encoder, and a language model that reads it."""

from collections.abc import Callable
from typing import Any

import torch

from regard.zoo.entry import Entry, config
from regard.zoo.entry import of_transformers as hf
from regard.zoo.inputs import IMAGE_TOKEN, ids, looking, normal
from regard.zoo.sizes import VIT

LLM: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 128,
    "head_dim": 8,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
LLAMA = LLM | {"model_type": "llama"}
QWEN = LLM | {"model_type": "qwen2"}
CLIP = VIT | {"model_type": "clip_vision_model"}
SIGLIP = VIT | {"model_type": "siglip_vision_model", "vision_use_head": False}
HEADED = VIT | {"model_type": "siglip_vision_model"}
SDPA = {"image_token_index": IMAGE_TOKEN}


def packed(
    token: int, name: str = "", side: int = 8, patch: int = 3 * 2 * 8 * 8
) -> Callable[[], dict[str, Any]]:
    """Two images as the Qwen-VL models take them: patches in one row, and how they lie."""
    grid = torch.tensor([[1, side // 2, side // 2], [1, side // 2, 2]])
    count = int(grid.prod(-1).sum())
    text = [3, *[token] * (int(grid[0].prod()) // 4), 5, *[token] * (int(grid[1].prod()) // 4), 6]
    inputs = {"pixel_values": normal(count, patch), "image_grid_thw": grid}
    ids_ = torch.tensor([text])
    return lambda: {**inputs, "input_ids": ids_, "mm_token_type_ids": (ids_ == token).int()}


QWEN_VISION = {
    "depth": 2,
    "embed_dim": 32,
    "hidden_size": 32,
    "num_heads": 4,
    "intermediate_size": 32,
    "patch_size": 8,
    "in_channels": 3,
    "out_hidden_size": 32,
}
QWEN_TEXT = LLM | {
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
}
QWEN_TOKENS = {
    "image_token_id": IMAGE_TOKEN,
    "video_token_id": 41,
    "vision_start_token_id": 42,
    "vision_end_token_id": 43,
}

ENTRIES: tuple[Entry, ...] = (
    hf(
        "llava",
        looking(16),
        "4 sdpa",
        "LlavaForConditionalGeneration",
        vision_config=CLIP,
        text_config=LLAMA,
        **SDPA,
    ),
    hf(
        "vipllava",
        looking(16),
        "4 sdpa",
        "VipLlavaForConditionalGeneration",
        vision_config=CLIP,
        text_config=LLAMA,
        vision_feature_layers=[-1, -2],
        **SDPA,
    ),
    hf(
        "llava_next",
        lambda: (
            looking(36)()
            | {"pixel_values": normal(1, 2, 3, 64, 64), "image_sizes": torch.tensor([[64, 64]])}
        ),
        "4 sdpa",
        "LlavaNextForConditionalGeneration",
        vision_config=CLIP,
        text_config=LLAMA,
        image_grid_pinpoints=[[64, 64]],
        **SDPA,
    ),
    hf(
        "llava_next_video",
        lambda: {
            "input_ids": looking(8, token=41)()["input_ids"],
            "pixel_values_videos": normal(1, 2, 3, 64, 64),
        },
        "4 sdpa",
        "LlavaNextVideoForConditionalGeneration",
        vision_config=CLIP,
        text_config=LLAMA,
        image_token_index=IMAGE_TOKEN,
        video_token_index=41,
        image_grid_pinpoints=[[64, 64]],
    ),
    hf(
        "llava_onevision",
        lambda: (
            looking(36)()
            | {"pixel_values": normal(1, 2, 3, 64, 64), "image_sizes": torch.tensor([[64, 64]])}
        ),
        "4 sdpa",
        "LlavaOnevisionForConditionalGeneration",
        vision_config=SIGLIP,
        text_config=QWEN,
        image_grid_pinpoints=[[64, 64]],
        vision_feature_select_strategy="full",
        **SDPA,
    ),
    hf(
        "video_llava",
        lambda: {
            "input_ids": looking(17 * 8, token=41)()["input_ids"],
            "pixel_values_videos": normal(1, 8, 3, 64, 64),
        },
        "4 sdpa",
        "VideoLlavaForConditionalGeneration",
        vision_config=CLIP,
        text_config=LLAMA | {"max_position_embeddings": 256},
        image_token_index=IMAGE_TOKEN,
        video_token_index=41,
        image_seq_length=17,
        video_seq_length=136,
    ),
    hf(
        "paligemma",
        looking(16),
        "4 sdpa",
        "PaliGemmaForConditionalGeneration",
        vision_config=SIGLIP,
        text_config=LLM | {"model_type": "gemma"},
        projection_dim=32,
        **SDPA,
    ),
    hf(
        "colpali",
        looking(16),
        "4 sdpa",
        "ColPaliForRetrieval",
        vlm_config=config(
            "PaliGemma",
            vision_config=SIGLIP,
            text_config=LLM | {"model_type": "gemma"},
            projection_dim=32,
            **SDPA,
        ),
        embedding_dim=16,
    ),
    hf(
        "gemma3",
        looking(4),
        "4 sdpa",
        "Gemma3ForConditionalGeneration",
        vision_config=SIGLIP,
        text_config=LLM | {"model_type": "gemma3_text"},
        mm_tokens_per_image=4,
        **SDPA,
    ),
    hf(
        "shieldgemma2",
        looking(4),
        "4 sdpa",
        "ShieldGemma2ForImageClassification",
        vision_config=SIGLIP,
        text_config=LLM | {"model_type": "gemma3_text"},
        mm_tokens_per_image=4,
        yes_token_index=8,
        no_token_index=9,
        **SDPA,
        softmaxes=5,
        because="one softmax gives the probabilities of yes and no",
    ),
    hf(
        "idefics2",
        lambda: looking(4)() | {"pixel_values": normal(1, 1, 3, 64, 64)},
        "5 sdpa",
        "Idefics2ForConditionalGeneration",
        vision_config=VIT,
        perceiver_config={
            "resampler_n_latents": 4,
            "resampler_depth": 1,
            "resampler_n_heads": 4,
            "resampler_head_dim": 8,
            "num_key_value_heads": 2,
            "hidden_size": 32,
        },
        text_config=LLM | {"model_type": "mistral"},
        image_token_id=IMAGE_TOKEN,
    ),
    hf(
        "idefics3",
        lambda: looking(4)() | {"pixel_values": normal(1, 1, 3, 64, 64)},
        "4 sdpa",
        "Idefics3ForConditionalGeneration",
        vision_config=VIT,
        text_config=LLAMA,
        scale_factor=2,
        image_token_id=IMAGE_TOKEN,
    ),
    hf(
        "smolvlm",
        lambda: looking(4)() | {"pixel_values": normal(1, 1, 3, 64, 64)},
        "4 sdpa",
        "SmolVLMForConditionalGeneration",
        vision_config=VIT,
        text_config=LLAMA,
        scale_factor=2,
        image_token_id=IMAGE_TOKEN,
    ),
    hf(
        "qwen2_vl",
        packed(IMAGE_TOKEN),
        "2 sdpa, 2 stitched",
        "Qwen2VLForConditionalGeneration",
        vision_config=QWEN_VISION,
        text_config=QWEN_TEXT,
        **QWEN_TOKENS,
        softmaxes=6,
        because="one call an image and layer of the encoder",
    ),
    hf(
        "qwen2_5_vl",
        packed(IMAGE_TOKEN),
        "2 sdpa, 2 stitched",
        "Qwen2_5_VLForConditionalGeneration",
        vision_config=QWEN_VISION | {"window_size": 16, "fullatt_block_indexes": [1]},
        text_config=QWEN_TEXT,
        **QWEN_TOKENS,
        softmaxes=10,
        because="one call a window or image, and layer of the encoder",
    ),
    hf(
        "qwen3_vl",
        packed(IMAGE_TOKEN),
        "2 sdpa, 2 stitched",
        "Qwen3VLForConditionalGeneration",
        vision_config=QWEN_VISION
        | {"num_position_embeddings": 64, "deepstack_visual_indexes": [0]},
        text_config=QWEN_TEXT,
        **QWEN_TOKENS,
        softmaxes=6,
        because="one call an image and layer of the encoder",
    ),
    hf(
        "qwen3_5",
        packed(IMAGE_TOKEN),
        "1 sdpa, 2 stitched",
        "Qwen3_5ForConditionalGeneration",
        vision_config=QWEN_VISION | {"num_position_embeddings": 64},
        text_config=QWEN_TEXT
        | {
            "layer_types": ["linear_attention", "full_attention"],
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 2,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
        },
        **QWEN_TOKENS,
        unrecorded=(("linear_attn", "no attention weights exist"),),
        softmaxes=5,
        because="one call an image and layer of the encoder; a gated delta net has no weights",
    ),
    hf(
        "glm4v",
        packed(IMAGE_TOKEN),
        "2 sdpa, 2 stitched",
        "Glm4vForConditionalGeneration",
        vision_config=QWEN_VISION | {"image_size": 64},
        text_config=QWEN_TEXT
        | {
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [1, 1, 2],
                "partial_rotary_factor": 1.0,
            }
        },
        **QWEN_TOKENS,
        softmaxes=6,
        because="one call an image and layer of the encoder",
    ),
    hf(
        "internvl",
        looking(4),
        "4 sdpa",
        "InternVLForConditionalGeneration",
        vision_config={**VIT, "image_size": [64, 64], "patch_size": [16, 16]},
        text_config=QWEN,
        image_token_id=IMAGE_TOKEN,
    ),
    hf(
        "mistral3",
        lambda: looking(4)() | {"image_sizes": torch.tensor([[64, 64]])},
        "4 sdpa",
        "Mistral3ForConditionalGeneration",
        vision_config={"model_type": "pixtral", **VIT},
        text_config=LLM | {"model_type": "mistral"},
        spatial_merge_size=2,
        **SDPA,
    ),
    hf(
        "llava pixtral",
        lambda: looking(16)() | {"image_sizes": torch.tensor([[64, 64]])},
        "4 sdpa",
        "LlavaForConditionalGeneration",
        vision_config={"model_type": "pixtral", **VIT},
        text_config=LLAMA,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        **SDPA,
    ),
    hf(
        "mllama",
        lambda: {
            "input_ids": ids(),
            "pixel_values": normal(1, 1, 2, 3, 64, 64),
            "aspect_ratio_ids": torch.tensor([[1]]),
            "aspect_ratio_mask": torch.tensor([[[1, 0]]]),
            "cross_attention_mask": torch.ones(1, 6, 1, 2, dtype=torch.long),
        },
        "6 sdpa",
        "MllamaForConditionalGeneration",
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 4,
            "intermediate_size": 32,
            "vision_output_dim": 64,
            "image_size": 64,
            "patch_size": 16,
            "max_num_tiles": 2,
            "intermediate_layers_indices": [1],
            "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
        },
        text_config=LLM
        | {
            "num_hidden_layers": 3,
            "cross_attention_layers": [1],
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
        },
    ),
    hf(
        "aria",
        looking(4),
        "4 sdpa, 1 softmax",
        "AriaForConditionalGeneration",
        vision_config={"model_type": "idefics3_vision", **VIT},
        text_config=LLM
        | {
            "moe_num_experts": 2,
            "moe_topk": 1,
            "moe_num_shared_experts": 1,
            "model_type": "aria_text",
        },
        projector_patch_to_query_dict={16: 4},
        **SDPA,
        softmaxes=7,
        because="two softmaxes choose experts",
    ),
    hf(
        "aya_vision",
        looking(4),
        "4 sdpa",
        "AyaVisionForConditionalGeneration",
        vision_config=SIGLIP,
        text_config=LLM | {"model_type": "cohere2"},
        downsample_factor=2,
        alignment_intermediate_size=32,
        **SDPA,
    ),
    hf(
        "cohere2_vision",
        looking(4),
        "4 sdpa",
        "Cohere2VisionForConditionalGeneration",
        vision_config=SIGLIP,
        text_config=LLM | {"model_type": "cohere2"},
        downsample_factor=2,
        alignment_intermediate_size=32,
        image_token_id=IMAGE_TOKEN,
    ),
    hf(
        "deepseek_vl",
        looking(16),
        "4 sdpa",
        "DeepseekVLForConditionalGeneration",
        vision_config=SIGLIP,
        text_config=LLAMA,
        image_token_id=IMAGE_TOKEN,
    ),
    hf(
        "lfm2_vl",
        lambda: (
            looking(4)()
            | {
                "pixel_values": normal(1, 16, 768),
                "spatial_shapes": torch.tensor([[4, 4]]),
                "pixel_attention_mask": torch.ones(1, 16, dtype=torch.long),
            }
        ),
        "3 sdpa",
        "Lfm2VlForConditionalGeneration",
        vision_config={
            "model_type": "siglip2_vision_model",
            **VIT,
            "num_patches": 16,
            "vision_use_head": False,
        },
        text_config=LLM
        | {"model_type": "lfm2", "layer_types": ["full_attention", "conv"], "block_ff_dim": 32},
        downsample_factor=2,
        projector_hidden_size=32,
        image_token_id=IMAGE_TOKEN,
    ),
    hf(
        "chameleon",
        looking(4, 16),
        "2 sdpa, 2 softmax",
        "ChameleonForConditionalGeneration",
        **{**LLM, "vocab_size": 60},
        vq_config={
            "embed_dim": 16,
            "num_embeddings": 8,
            "latent_channels": 16,
            "resolution": 16,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1, 1],
            "num_res_blocks": 1,
            "attn_resolutions": [2],
        },
        vocabulary_map={
            **{f"IMGIMG{chr(65 + i)}Z": 50 + i for i in range(8)},
            "<image>": IMAGE_TOKEN,
        },
    ),
    hf(
        "fuyu",
        lambda: {
            "input_ids": torch.tensor([[IMAGE_TOKEN] * 4 + [5, 6]]),
            "image_patches": normal(1, 4, 3 * 16 * 16),
            "image_patches_indices": torch.tensor([[0, 1, 2, 3, -1, -1]]),
        },
        "2 sdpa",
        "FuyuForCausalLM",
        image_size=32,
        patch_size=16,
        text_config={**LLM, "model_type": "persimmon"},
        image_token_id=IMAGE_TOKEN,
    ),
    hf(
        "got_ocr2",
        looking(1, 64),
        "2 sdpa, 2 softmax",
        "GotOcr2ForConditionalGeneration",
        vision_config={
            "hidden_size": 32,
            "output_channels": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 64,
            "patch_size": 16,
            "window_size": 3,
            "global_attn_indexes": [1],
            "mlp_dim": 32,
        },
        text_config=QWEN,
        **SDPA,
    ),
)
