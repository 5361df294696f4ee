"""Language models that read pictures and videos, and encoders of videos."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

from layouts.models import (
    Built,
    Row,
    begin,
    focus,
    hush,
    merge_blocks,
    of_zoo,
    patch_rows,
    pixels,
    prompt,
)
from layouts.settings import IMAGE, LLAMA, QWEN2, QWEN_TEXT, SIGLIP_TOWER, SMALL, SQUARE, SQUARE_HW

VIDEO = 9
"""The id of a video's placeholders."""
CLIP_TOWER = {**SQUARE, "model_type": "clip_vision_model"}
FLAT_TOWER = SIGLIP_TOWER | {"vision_use_head": False}
TOKENS: dict[str, Any] = {"image_token_index": IMAGE, "video_token_index": VIDEO}


def spoken(
    name: str,
    vision: Mapping[str, Any],
    inputs: Callable[[Tensor], dict[str, Any]],
    *leading: int,
    size_hw: tuple[int, int] = SQUARE_HW,
    text: Mapping[str, Any] = LLAMA,
    **settings: Any,
) -> Callable[[], Built]:
    """A language model with a vision tower, and what makes its inputs of pictures."""

    def build() -> Built:
        config = getattr(hf, f"{name}Config")(
            vision_config=dict(vision), text_config=dict(text), **settings
        )
        torch.manual_seed(0)
        made: nn.Module = getattr(hf, f"{name}Model")(config).eval()
        begin(made)
        return made, pixels(*leading, size_hw=size_hw), inputs

    return build


def filmed(ids: Tensor) -> Callable[[Tensor], dict[str, Any]]:
    """A video in a prompt."""
    return lambda frames: {"input_ids": ids, "pixel_values_videos": frames}


def film(count: int) -> Tensor:
    """A prompt with so many placeholders for a video."""
    ids = prompt(count)
    return ids.where(ids != IMAGE, VIDEO)


def cropped(ids: Tensor, rows: int, columns: int) -> Callable[[Tensor], dict[str, Any]]:
    """A large picture as one crop of the whole, here of nothing, then its parts row by row."""

    def inputs(pictures: Tensor) -> dict[str, Any]:
        parts = [
            part for row in pictures.chunk(rows, dim=-2) for part in row.chunk(columns, dim=-1)
        ]
        crops = torch.stack([torch.zeros_like(parts[0]), *parts], dim=1)
        sizes = torch.tensor([pictures.shape[-2:]])
        return {"pixel_values": crops, "image_sizes": sizes, "input_ids": ids}

    return inputs


def image_and_video(pictures: Tensor) -> dict[str, Any]:
    """Video-LLaVA: one picture, and eight frames that come before it in the prompt."""
    ids = torch.cat([film(8 * 37), prompt(36)], dim=1)
    frames = {"pixel_values": pictures[:1], "pixel_values_videos": pictures[None, 1:]}
    return {**frames, "input_ids": ids}


def several(pictures: Tensor) -> dict[str, Any]:
    """Two pictures of one prompt: each one crop, and a token to end it."""
    sizes = torch.tensor([[48, 48], [48, 48]])
    given = {"pixel_values": pictures[:, None], "image_sizes": sizes}
    return {**given, "batch_num_images": torch.tensor([2]), "input_ids": prompt(37, 37)}


def two_prompts(pictures: Tensor) -> dict[str, Any]:
    """A batch of prompts that have their pictures in different places."""
    ids = prompt(36)
    return {"pixel_values": pictures, "input_ids": torch.cat([ids, ids.roll(1, dims=1)])}


def shaped(pictures: Tensor) -> dict[str, Any]:
    """LFM2-VL: patches of a picture of 6 x 8, then padding, and of one of 6 x 10."""
    rows = patch_rows(pictures)
    narrow = patch_rows(pictures[:1, ..., :64])
    rows[:1] = torch.cat([narrow, torch.zeros_like(rows[:1, : 60 - 48])], dim=1)
    mask = torch.ones(2, 60, dtype=torch.long)
    mask[0, 48:] = 0
    return {
        "pixel_values": rows,
        "pixel_attention_mask": mask,
        "spatial_shapes": torch.tensor([[6, 8], [6, 10]]),
        "input_ids": prompt(12, 15),
    }


def qwen_video(frames: Tensor) -> dict[str, Any]:
    """Qwen2-VL: four frames of 48 x 80 pixels, two of them a patch."""
    ids = film(2 * 15)
    alone = merge_blocks(frames, times=1).reshape(2, 2, 60, 3, 8 * 8)
    return {
        "pixel_values_videos": alone.permute(0, 2, 3, 1, 4).reshape(2 * 60, -1),
        "video_grid_thw": torch.tensor([[2, 6, 10]]),
        "input_ids": ids,
        "mm_token_type_ids": (ids == VIDEO).int() * 2,
    }


def florence(pictures: Tensor) -> dict[str, Any]:
    """Florence-2: a mean and a map of 4 x 8 cells."""
    ids = torch.tensor([[0, *[IMAGE] * 33, 4, 5]])
    return {"pixel_values": pictures, "input_ids": ids, "decoder_input_ids": torch.tensor([[2, 3]])}


def reading_florence() -> Built:
    bart = {"vocab_size": 50, "d_model": 32, "encoder_layers": 2, "decoder_layers": 1}
    bart |= {
        f"{part}_{what}": 4 for part in ("encoder", "decoder") for what in ("attention_heads",)
    }
    config = hf.Florence2Config(
        text_config={"model_type": "bart", **bart},
        vision_config={
            "depths": [1, 1, 1, 1],
            "embed_dim": [8, 16, 16, 32],
            "num_heads": [1, 2, 2, 4],
            "num_groups": [1, 2, 2, 4],
            "window_size": 2,
            "projection_dim": 32,
        },
        image_token_id=IMAGE,
    )
    torch.manual_seed(0)
    made = hf.Florence2Model(config).eval()
    focus(made)
    hush(made, r"attn\.proj|ffn|fc2")
    return made, pixels(size_hw=(128, 256)), florence


LFM2 = LLAMA | {"model_type": "lfm2", "layer_types": ["full_attention"] * 2, "block_ff_dim": 32}
LONG = LLAMA | {"max_position_embeddings": 512}
NAFLEX = {**SMALL, "num_patches": 36, "model_type": "siglip2_vision_model"}
ANY: dict[str, Any] = {"image_grid_pinpoints": [[48, 96], [96, 96]]}
WHOLE: dict[str, Any] = {**ANY, "vision_feature_select_strategy": "full"}
QWEN_VL = {"image_token_id": IMAGE, "video_token_id": VIDEO, "vision_start_token_id": 3}

READERS = [
    Row(
        "llava, two prompts",
        spoken("Llava", CLIP_TOWER, two_prompts, 2, image_token_index=IMAGE),
        8,
        picture_axis=0,
    ),
    Row(
        "llava next video",
        spoken("LlavaNextVideo", CLIP_TOWER, filmed(film(4 * 9)), 1, 4, **TOKENS, **ANY),
        8,
        picture_axis=1,
    ),
    Row(
        "llava onevision",
        spoken(
            "LlavaOnevision",
            FLAT_TOWER,
            cropped(prompt(36 + 6 * 13), 1, 2),
            size_hw=(48, 96),
            **TOKENS,
            **WHOLE,
        ),
        4,
        skip=("vision_tower",),  # its batch holds the crops
    ),
    Row(
        "llava onevision, smaller",
        spoken(
            "LlavaOnevision",
            FLAT_TOWER,
            cropped(prompt(36 + 10 * 11), 2, 2),
            size_hw=(96, 96),
            vision_aspect_ratio="anyres_max_3",
            **TOKENS,
            **WHOLE,
        ),
        4,
        corner=48,  # cells of 9.6 pixels: where they begin together with patches
        skip=("vision_tower",),
    ),
    Row(
        "llava onevision, several",
        spoken("LlavaOnevision", FLAT_TOWER, several, 2, **TOKENS, **WHOLE),
        8,
        picture_axis=0,
    ),
    Row(
        "llava onevision, video",
        spoken("LlavaOnevision", FLAT_TOWER, filmed(film(4 * 9 + 1)), 1, 4, **TOKENS, **WHOLE),
        8,
        picture_axis=1,
    ),
    Row(
        "video llava",
        spoken("VideoLlava", CLIP_TOWER, filmed(film(8 * 37)), 1, 8, text=LONG, **TOKENS),
        8,
        picture_axis=1,
    ),
    Row(
        "video llava, both",
        spoken("VideoLlava", CLIP_TOWER, image_and_video, 9, text=LONG, **TOKENS),
        4,
        picture_axis=0,
        skip=("image_tower", "video_tower"),  # each has a batch of its own pictures
    ),
    Row(
        "lfm2_vl",
        spoken(
            "Lfm2Vl",
            NAFLEX,
            shaped,
            2,
            size_hw=(48, 80),
            text=LFM2,
            image_token_id=IMAGE,
            downsample_factor=2,
            projector_hidden_size=32,
        ),
        9,
        picture_axis=0,
    ),
    Row(
        "qwen2_vl, video",
        spoken("Qwen2VL", QWEN2, qwen_video, 4, size_hw=(48, 80), text=QWEN_TEXT, **QWEN_VL),
        8,
        picture_axis=0,
    ),
    Row("florence 2, all", reading_florence, 13, corner=32),
    Row(
        "instructblipvideo",
        of_zoo("instructblipvideo", 1, 2, size_hw=(64, 64)),
        6,
        picture_axis=1,
    ),
    Row(
        "videomt",
        of_zoo("videomt", 1, 2, size_hw=(64, 64), given="pixel_values_videos"),
        6,
        picture_axis=1,
    ),
    Row(
        "tvp",
        of_zoo("tvp", 1, 4, size_hw=(192, 192), interpolate_pos_encoding=True),
        4,
        corner=64,
        picture_axis=1,
    ),
]
