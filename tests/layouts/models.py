"""One line for each way in which tokens lie: tiny models with random weights, wide inputs."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

Inputs = Callable[[Tensor], dict[str, Any]]
Built = tuple[nn.Module, Tensor, Inputs]
SIZE_HW = (48, 80)
"""Of the pixels: wider than high, so that rows and columns cannot be mistaken for each other."""


@dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
        name: How tests call it.
        build: Gives the model in evaluation mode, pictures, and what makes its inputs of them.
        placed: How many of the axes of its calls (queries and keys count each) lie on pixels.
        corner: The coarsest stride of tokens that look from the first pixel of their cells
            outwards, as overlapping convolutions do: the one pixel there is made bright.
            0: a square inside the cell is.
        side: Side of the bright square, in pixels.
        unplaced: Ends of paths of layers that have no layout.
        picture_axis: Axis of the pixels along which pictures (frames, crops) follow each other.
        skip: Layers (globs) that are not compared; the row says why.
    """

    name: str
    build: Callable[[], Built]
    placed: int
    corner: int = 0
    side: int = 2
    unplaced: Sequence[str] = ()
    skip: Sequence[str] = ()
    picture_axis: int | None = None

    def __str__(self) -> str:
        return self.name


def pixels(*leading: int, size_hw: tuple[int, int] = SIZE_HW, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((*(leading or (1,)), channels, *size_hw), generator=generator)


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


def model(
    name: str,
    config: Mapping[str, Any],
    *leading: int,
    size_hw: tuple[int, int] = SIZE_HW,
    ending: str = "Model",
    quiet: str = "",
    focused: bool = False,
    given: str = "pixel_values",
    **inputs: Any,
) -> Callable[[], Built]:
    """A model of transformers by the stem of its class names.

    Parameters whose names match `quiet` are made small: in some models with random weights the
    attention of one layer moves so much that the next one changes most elsewhere. `focused` gives
    convolutions other weights.
    """

    def build() -> Built:
        settings = getattr(hf, f"{name}Config")(**config)
        torch.manual_seed(0)
        made = getattr(hf, f"{name}{ending}")(settings).eval()
        with torch.no_grad():
            for parameter_name, parameter in made.named_parameters():
                if quiet and re.search(quiet, parameter_name):
                    parameter *= 0.02
        if focused:
            focus(made)
        return made, pixels(*leading, size_hw=size_hw), lambda p: {given: p, **inputs}

    return build


@torch.no_grad()
def focus(network: nn.Module) -> None:
    """Give convolutions weights that look at their middle, so that a stack of them stays sharp."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.normal_(std=2 / module.weight[0, :, 0, 0].numel() ** 0.5)
            if module.kernel_size > module.stride:  # windows overlap
                y, x = (side // 2 for side in module.kernel_size)
                middle = module.weight[..., y, x].clone()
                module.weight *= 1e-3
                module.weight[..., y, x] = middle


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
MOBILEVIT = {
    **{"image_size": 64, "hidden_sizes": [16, 16, 24], "num_attention_heads": 4},
    "neck_hidden_sizes": [8, 8, 16, 16, 24, 24, 32],
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

GRIDS = [
    Row("vit", model("ViT", WIDE), 4),
    Row("vit, other size", model("ViT", SQUARE, interpolate_pos_encoding=True), 4),
    Row("deit", model("DeiT", WIDE), 4),
    Row("beit", model("Beit", WIDE), 4),
    Row("data2vec", model("Data2VecVision", WIDE), 4),
    Row("dinov2", model("Dinov2", SQUARE), 4),
    Row("dinov2 registers", model("Dinov2WithRegisters", SQUARE), 4),
    Row("dinov3", model("DINOv3ViT", SQUARE), 4),
    Row("ijepa", model("IJepa", WIDE), 4),
    Row("vit_msn", model("ViTMSN", WIDE), 4),
    Row("pixio", model("Pixio", SQUARE, size_hw=SQUARE_HW), 4),
    Row("mlcd", model("MLCDVision", SQUARE), 4),
    Row("yolos", model("Yolos", {**WIDE, "num_detection_tokens": 5}), 4),
    Row("clip", model("CLIPVision", SQUARE, interpolate_pos_encoding=True), 4),
    Row("siglip", model("SiglipVision", SQUARE, interpolate_pos_encoding=True), 5),
    Row("aimv2", model("Aimv2Vision", SQUARE, size_hw=SQUARE_HW), 5),
    Row("dpt", model("DPT", {**SQUARE, "backbone_out_indices": [0, 1]}, size_hw=SQUARE_HW), 4),
]
WINDOWS = [
    Row("swin", model("Swin", SWIN), 12),
    Row("swinv2", model("Swinv2", SWIN, quiet="layernorm"), 12),
    Row(
        "swin2sr",
        model("Swin2SR", SWIN | ONE_STAGE, size_hw=(16, 32), quiet="layernorm", focused=True),
        4,
        side=1,
    ),
    Row("donut", model("DonutSwin", SWIN), 12),
    Row("maskformer swin", model("MaskFormerSwin", SWIN), 12),
    Row("sam", model("SamVision", SAM, size_hw=SQUARE_HW), 6),
    Row("sam hq", model("SamHQVision", SAM, size_hw=SQUARE_HW), 6),
    Row("vitdet", model("VitDet", VITDET), 4),
    Row("hiera", model("Hiera", HIERA, size_hw=(64, 128), focused=True), 12, corner=16),
    Row("sam2", model("Sam2HieraDet", SAM2, size_hw=PYRAMID_HW, focused=True), 12, corner=32),
    Row("lw_detr", model("LwDetrViT", LW_DETR, size_hw=PYRAMID_HW, ending="Backbone"), 4),
    Row("rf_detr", model("RfDetrDinov2", RF_DETR, size_hw=SQUARE_HW, ending="Backbone"), 4),
    Row(
        "mobilevit",
        model("MobileViT", MOBILEVIT, size_hw=(64, 128), focused=True),
        *(12, 32),
        skip=("encoder.layer.4",),  # two keys: attention moves too much
    ),
]
PYRAMIDS = [
    Row("pvt", model("Pvt", {"image_size": 64, **PYRAMID}, size_hw=(64, 64)), 8),
    Row("pvt_v2", model("PvtV2", PYRAMID, size_hw=PYRAMID_HW, focused=True), 8, corner=32),
    Row(
        "pvt_v2 linear",
        model("PvtV2", PYRAMID | {"linear_attention": True}, size_hw=(112, 224), focused=True),
        *(6, 32),
        skip=("encoder.layers.3",),  # maps of less than 7 x 7: several keys are of one cell
    ),
    Row("segformer", model("Segformer", PYRAMID, size_hw=PYRAMID_HW, focused=True), 8, corner=32),
    Row("glpn", model("GLPN", PYRAMID, size_hw=PYRAMID_HW, focused=True), 8, corner=32),
    Row(
        "cvt",
        model("Cvt", CVT, size_hw=PYRAMID_HW, focused=True),
        *(8, 32),
        skip=("encoder.stages.2.layers.[12]",),  # attention before them moves too much
    ),
    Row(
        "levit",
        model("Levit", LEVIT, size_hw=(128, 128), focused=True),
        *(4, 64),
        skip=("encoder.stages.[12].*",),  # no residual after subsampling: attention moves all
    ),
]
VIDEOS = [
    Row("videomae", model("VideoMAE", VIDEO, *CLIP, size_hw=SQUARE_HW), 4, picture_axis=1),
    Row(
        "vivit",
        model("Vivit", VIDEO | {"tubelet_size": [2, 8, 8]}, *CLIP, size_hw=SQUARE_HW),
        4,
        picture_axis=1,
    ),
    Row("timesformer", model("Timesformer", VIDEO, *CLIP, size_hw=SQUARE_HW), 8, picture_axis=1),
    Row(
        "timesformer, joint",
        model("Timesformer", VIDEO | JOINT, *CLIP, size_hw=SQUARE_HW),
        4,
        picture_axis=1,
    ),
    Row(
        "timesformer, space",
        model("Timesformer", VIDEO | SPACE, *CLIP, size_hw=SQUARE_HW),
        4,
        picture_axis=1,
    ),
    Row(
        "videoprism",
        model("VideoPrismVision", PRISM, *CLIP, size_hw=SQUARE_HW, given="pixel_values_videos"),
        8,
        picture_axis=1,
    ),
    Row(
        "vjepa2",
        model("VJEPA2", VJEPA, *CLIP, size_hw=SQUARE_HW, given="pixel_values_videos"),
        4,
        picture_axis=1,
        unplaced=("attention",),
    ),
    Row("x_clip", model("XCLIPVision", VIDEO, 4, size_hw=SQUARE_HW), 4, picture_axis=0),
]
TEXT: dict[str, Any] = {
    **{"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"intermediate_size": 32, "max_position_embeddings": 256, "pad_token_id": 0},
    **{"bos_token_id": 1, "eos_token_id": 2},
}
LLAMA = {**TEXT, "model_type": "llama", "num_key_value_heads": 2}
IMAGE = 7
"""The id of placeholders."""


def prompt(*images: int) -> Tensor:
    """Words, and placeholders for images of so many tokens, each followed by two words."""
    ids = [3, 4, 5]
    for count in images:
        ids += [IMAGE] * count + [6, 8]
    return torch.tensor([ids])


def speaker(
    name: str,
    vision: dict[str, Any],
    ids: Tensor,
    *leading: int,
    ending: str = "Model",
    size_hw: tuple[int, int] = SQUARE_HW,
    inputs: Mapping[str, Any] | None = None,
    text: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Callable[[], Built]:
    """A language model with a vision tower."""

    def build() -> Built:
        config = getattr(hf, f"{name}Config")(
            vision_config=vision,
            text_config=text or LLAMA,
            image_token_id=IMAGE,
            **settings,
        )
        torch.manual_seed(0)
        made = getattr(hf, f"{name}{ending}")(config).eval()
        with torch.no_grad():
            for parameter in made.parameters():
                if parameter.dim() == 2 and not parameter.any():  # projections that begin at zero
                    parameter.normal_(std=0.1)
        more = {"input_ids": ids, **(inputs or {})}
        return made, pixels(*leading, size_hw=size_hw), lambda p: {"pixel_values": p, **more}

    return build


def merge_blocks(pictures: Tensor, *, patch: int = 8, merge: int = 2, times: int = 2) -> Tensor:
    """Pictures as Qwen2-VL takes them: patches by merge blocks, each said twice for two frames."""
    n, channels, height, width = pictures.shape
    rows, columns = height // patch // merge, width // patch // merge
    cut = pictures.reshape(n, channels, rows, merge, patch, columns, merge, patch)
    cut = cut.permute(0, 2, 5, 3, 6, 1, 4, 7)  # n, rows, columns, merge, merge, c, patch, patch
    flat = cut.reshape(-1, channels, 1, patch, patch).expand(-1, -1, times, -1, -1)
    return flat.reshape(len(flat), -1)


def qwen(name: str, vision: dict[str, Any], text: dict[str, Any]) -> Callable[[], Built]:
    """A language model of the Qwen-VL kind, with two pictures of 48 x 80 pixels."""

    def build() -> Built:
        config = getattr(hf, f"{name}Config")(
            vision_config=vision, text_config=text, image_token_id=IMAGE, vision_start_token_id=3
        )
        torch.manual_seed(0)
        made = getattr(hf, f"{name}Model")(config).eval()
        thw = torch.tensor([[1, 6, 10], [1, 6, 10]])
        ids = prompt(15, 15)
        more = {"input_ids": ids, "image_grid_thw": thw}
        more["mm_token_type_ids"] = (ids == IMAGE).int()
        return made, pixels(2), lambda p: {"pixel_values": merge_blocks(p), **more}

    return build


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
WIDTH, NINE, HALF = {"projection_dim": 32}, {"mm_tokens_per_image": 9}, {"scale_factor": 2}
CLIP_TOWER = {**SQUARE, "model_type": "clip_vision_model"}
SIGLIP_TOWER = {**SQUARE, "model_type": "siglip_vision_model"}
GEMMA = {**LLAMA, "model_type": "gemma", "head_dim": 8}
INTERN = {**SQUARE, "image_size": [48, 48], "patch_size": [8, 8], "model_type": "internvl_vision"}
IDEFICS3 = {**SQUARE, "model_type": "idefics3_vision"}
SMOLVLM = {**SQUARE, "model_type": "smolvlm_vision"}
GEMMA3 = {**GEMMA, "model_type": "gemma3_text"}
THREE = {**CLIP_TOWER, "num_hidden_layers": 3}
SPEAKERS = [
    Row("llava", speaker("Llava", CLIP_TOWER, prompt(36, 36), 2), 8, picture_axis=0),
    Row("vipllava", speaker("VipLlava", THREE, prompt(36), vision_feature_layers=[-1, -2]), 10),
    Row("paligemma", speaker("PaliGemma", SIGLIP_TOWER, prompt(36), text=GEMMA, **WIDTH), 9),
    Row("gemma3", speaker("Gemma3", SIGLIP_TOWER, prompt(9), text=GEMMA3, **NINE), 9),
    Row("idefics3", speaker("Idefics3", IDEFICS3, prompt(9, 9), 1, 2, **HALF), 8, picture_axis=1),
    Row("smolvlm", speaker("SmolVLM", SMOLVLM, prompt(9, 9), 1, 2, **HALF), 8, picture_axis=1),
    Row("internvl", speaker("InternVL", INTERN, prompt(9), downsample_ratio=0.5), 8),
    Row("aya", speaker("AyaVision", SIGLIP_TOWER, prompt(9), downsample_factor=2), 9),
    Row("cohere2", speaker("Cohere2Vision", SIGLIP_TOWER, prompt(9), downsample_factor=2), 9),
    Row("deepseek vl", speaker("DeepseekVL", SIGLIP_TOWER, prompt(36)), 9),
    Row("qwen2_vl", qwen("Qwen2VL", QWEN2, QWEN_TEXT), 8, picture_axis=0),
    Row("qwen2_5_vl", qwen("Qwen2_5_VL", QWEN25, QWEN_TEXT), 8, picture_axis=0),
    Row("qwen3_vl", qwen("Qwen3VL", QWEN3, QWEN_TEXT), 8, picture_axis=0),
]


def wrapped(
    build: Callable[[], nn.Module],
    inputs: Inputs,
    *leading: int,
    size_hw: tuple[int, int] = SIZE_HW,
) -> Callable[[], Built]:
    """Any model."""

    def built() -> Built:
        torch.manual_seed(0)
        return build().eval(), pixels(*leading, size_hw=size_hw), inputs

    return built


def patch_rows(pictures: Tensor, patch: int = 8) -> Tensor:
    """Pictures as a row for each patch: (batch, patches, patch * patch * channels)."""
    n, channels, height, width = pictures.shape
    cut = pictures.reshape(n, channels, height // patch, patch, width // patch, patch)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(n, -1, patch * patch * channels)


def naflex(pictures: Tensor) -> dict[str, Tensor]:
    """A picture of 6 x 8 patches with padding after it, and one of 6 x 10."""
    rows = patch_rows(pictures)
    narrow = patch_rows(pictures[:1, ..., :64])
    rows[:1] = torch.cat([narrow, torch.zeros_like(rows[:1, : 60 - 48])], dim=1)
    mask = torch.ones(2, 60)
    mask[0, 48:] = 0
    shapes = torch.tensor([[6, 8], [6, 10]])
    return {"pixel_values": rows, "pixel_attention_mask": mask, "spatial_shapes": shapes}


def rows_and_columns(pictures: Tensor) -> dict[str, Tensor]:
    """Pix2Struct's patches, with their rows and columns, in reversed order."""
    rows, ids = patch_rows(pictures), torch.cartesian_prod(torch.arange(1, 7), torch.arange(1, 11))
    given = torch.cat([ids[None].float(), rows], dim=2).flip(1)
    return {"flattened_patches": given, "attention_mask": torch.ones(1, 60)}


def patched(name: str, inputs: Inputs, *leading: int, **config: Any) -> Callable[[], Built]:
    """A model that takes rows of patches."""
    return wrapped(
        lambda: getattr(hf, f"{name}Model")(getattr(hf, f"{name}Config")(**config)),
        inputs,
        *leading,
    )


def resnet() -> Any:
    return hf.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], layer_type="basic"
    )


DETR: dict[str, Any] = {
    **{"use_timm_backbone": False, "use_pretrained_backbone": False, "d_model": 32},
    **{"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4, "num_queries": 5},
    **{"decoder_attention_heads": 4, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32},
}


def detr(name: str) -> Callable[[], Built]:
    return wrapped(
        lambda: focused(
            getattr(hf, f"{name}Model")(
                getattr(hf, f"{name}Config")(backbone_config=resnet(), **DETR)
            )
        ),
        lambda p: {"pixel_values": p},
        size_hw=(96, 160),
    )


def focused(network: nn.Module) -> nn.Module:
    focus(network)
    return network


def text_ids(count: int = 5) -> Tensor:
    return torch.arange(3, 3 + count)[None]


def with_text(
    name: str,
    config: Mapping[str, Any],
    *leading: int,
    ending: str = "Model",
    size_hw: tuple[int, int] = SQUARE_HW,
    **inputs: Any,
) -> Callable[[], Built]:
    return model(
        name, config, *leading, ending=ending, size_hw=size_hw, input_ids=text_ids(), **inputs
    )


TOWER = {**SQUARE}
PAIR = {"vision_config": SQUARE, "text_config": TEXT, "projection_dim": 16}
BLIP = {
    "vision_config": SQUARE,
    "text_config": TEXT | {"encoder_hidden_size": 32, "projection_dim": 16, "is_decoder": True},
    "projection_dim": 16,
}
DEPTH_PRO = {
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
MLLAMA = {
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
TILES = {"aspect_ratio_ids": torch.tensor([[2]]), "aspect_ratio_mask": torch.ones(1, 1, 2)}
RAGGED = [
    Row("vit_mae", model("ViTMAE", {**WIDE, "mask_ratio": 0.0}), 4),
    Row("vilt", with_text("Vilt", {**SQUARE, "vocab_size": 50}, size_hw=(48, 32)), 4),
    Row(
        "siglip2 naflex",
        patched("Siglip2Vision", naflex, 2, **{**SMALL, "num_patches": 36}),
        5,
        picture_axis=0,
    ),
    Row(
        "pix2struct",
        patched(
            "Pix2StructVision",
            rows_and_columns,
            **{**SMALL, "patch_embed_hidden_size": 192, "d_ff": 32, "d_kv": 8, "seq_len": 60},
        ),
        4,
    ),
    Row(
        "pixtral",
        model(
            "PixtralVision",
            {**SQUARE, "image_size": 96, "head_dim": 8},
            2,
            image_sizes=torch.tensor([[48, 80], [48, 80]]),
        ),
        4,
        picture_axis=0,
    ),
    Row(
        "mllama",
        model("MllamaVision", MLLAMA, 1, 1, 2, size_hw=SQUARE_HW, **TILES),
        6,
        picture_axis=2,
    ),
    Row("depth_pro", model("DepthPro", DEPTH_PRO, size_hw=(64, 64)), 8),
    Row("swin, two pictures", model("Swin", SWIN, 2), 12, picture_axis=0),
]
PAIRS = [
    Row(
        "layoutlmv3",
        with_text(
            "LayoutLMv3",
            {**SQUARE, **TEXT, "input_size": 48, "coordinate_size": 4, "shape_size": 8},
        ),
        4,
    ),
    Row("git", with_text("Git", {**TEXT, "vision_config": SQUARE}), 8),
    Row("blip", with_text("Blip", BLIP, ending="ForConditionalGeneration"), 6),
    Row("clip, both", with_text("CLIP", PAIR), 4),
    Row("owlvit", with_text("OwlViT", PAIR), 4),
    Row("detr", detr("Detr"), 3, corner=32),
    Row("conditional detr", detr("ConditionalDetr"), 3, corner=32),
    Row("table transformer", detr("TableTransformer"), 3, corner=32),
]
ROWS = [*GRIDS, *WINDOWS, *PYRAMIDS, *VIDEOS, *SPEAKERS, *RAGGED, *PAIRS]
