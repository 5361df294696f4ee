"""Tiny models with random weights, and what makes their inputs of pictures."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

from layouts.settings import (
    DETR,
    IMAGE,
    LLAMA,
    PERSIMMON,
    SIZE_HW,
    SQUARE,
    SQUARE_HW,
    SWIN,
    TEXT,
    WIDE,
)
from regard.zoo import named
from regard.zoo.entry import settle

Inputs = Callable[[Tensor], dict[str, Any]]
Built = tuple[nn.Module, Tensor, Inputs]


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
        last: Whether they look at the last pixel of their cells instead, as convolutions do that
            are padded on one side only.
        side: Side of the bright square, in pixels.
        unplaced: Ends of paths of layers that have no layout.
        picture_axis: Axis of the pixels along which pictures (frames, crops) follow each other.
        crops: Whether parts overlap: then each part that has the place is looked at by itself.
        skip: Layers (globs) that are not compared; the row says why.
    """

    name: str
    build: Callable[[], Built]
    placed: int
    corner: int = 0
    last: bool = False
    side: int = 2
    unplaced: Sequence[str] = ()
    skip: Sequence[str] = ()
    picture_axis: int | None = None
    crops: bool = False

    def __str__(self) -> str:
        return self.name


def pixels(*leading: int, size_hw: tuple[int, int] = SIZE_HW, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((*(leading or (1,)), channels, *size_hw), generator=generator)


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
        hush(made, quiet)
        if focused:
            focus(made)
        return made, pixels(*leading, size_hw=size_hw), lambda p: {given: p, **inputs}

    return build


@torch.no_grad()
def hush(network: nn.Module, names: str) -> None:
    """Make parameters of these names small."""
    for name, parameter in network.named_parameters():
        if names and re.search(names, name):
            parameter.mul_(0.02)


def part(network: nn.Module) -> None:
    """Take group norms out."""
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.GroupNorm):
                setattr(module, name, nn.Identity())


@torch.no_grad()
def begin(network: nn.Module) -> None:
    """Give projections and tokens that begin at zero random weights."""
    for parameter in network.parameters():
        if 2 <= parameter.dim() <= 4 and not parameter.any():
            parameter.normal_(std=0.1)


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


def staying(build: Callable[[], Built]) -> Callable[[], Built]:
    """The same LeViT, whose queries look at their own place.

    Its subsampling layers have no residual: what a token is would depend on all others.
    """

    def built() -> Built:
        network, made, inputs = build()
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name.endswith("attention_biases"):
                    parameter[:, 0] = 50.0  # for a key at the place of the query
        return network, made, inputs

    return built


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
        begin(made)
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


def qwen(
    name: str, vision: dict[str, Any], text: dict[str, Any], quiet: str = ""
) -> Callable[[], Built]:
    """A language model of the Qwen-VL kind, with two pictures of 48 x 80 pixels."""

    def build() -> Built:
        config = getattr(hf, f"{name}Config")(
            vision_config=vision, text_config=text, image_token_id=IMAGE, vision_start_token_id=3
        )
        torch.manual_seed(0)
        made = getattr(hf, f"{name}Model")(config).eval()
        hush(made, quiet)
        thw = torch.tensor([[1, 6, 10], [1, 6, 10]])
        ids = prompt(15, 15)
        more = {"input_ids": ids, "image_grid_thw": thw}
        more["mm_token_type_ids"] = (ids == IMAGE).int()
        return made, pixels(2), lambda p: {"pixel_values": merge_blocks(p), **more}

    return build


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


def given(pictures: Tensor) -> dict[str, Any]:
    """The pictures as they are."""
    return {"pixel_values": pictures}


def prompted(inputs: Inputs) -> Inputs:
    """Text beside the pictures."""
    ids = text_ids()
    return lambda p: {**inputs(p), "input_ids": ids, "attention_mask": torch.ones(1, 9)}


def hidden(pictures: Tensor) -> dict[str, Any]:
    """DaViT calls its pixels hidden states."""
    return {"hidden_states": pictures}


def decoding(pictures: Tensor) -> dict[str, Any]:
    """Text for the decoder."""
    return {"pixel_values": pictures, "decoder_input_ids": text_ids()}


def pixelwise(pictures: Tensor) -> dict[str, Any]:
    """Perceiver calls its pixels inputs."""
    return {"inputs": pictures}


def depth_anything() -> nn.Module:
    backbone = hf.Dinov2Config(**SQUARE, out_features=["stage2"], reshape_hidden_states=False)
    config = hf.DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=8,
        reassemble_hidden_size=32,
        reassemble_factors=[1],
        neck_hidden_sizes=[16],
        fusion_hidden_size=16,
    )
    network: nn.Module = hf.DepthAnythingForDepthEstimation(config)
    return network


def upernet() -> nn.Module:
    stages = ["stage1", "stage2"]
    backbone = hf.SwinConfig(**{**SWIN, "depths": [2, 2], "num_heads": [2, 4]}, out_features=stages)
    config = hf.UperNetConfig(
        backbone_config=backbone, hidden_size=16, use_auxiliary_head=False, pool_scales=[1]
    )
    network: nn.Module = hf.UperNetForSemanticSegmentation(config)
    return network


def blip_2() -> nn.Module:
    qformer = {
        **{k: v for k, v in TEXT.items() if k not in ("bos_token_id", "eos_token_id")},
        **{
            "encoder_hidden_size": 32,
            "cross_attention_frequency": 2,
            "use_qformer_text_input": True,
        },
    }
    config = hf.Blip2Config(
        vision_config=SQUARE,
        qformer_config=qformer,
        text_config={**TEXT, "model_type": "opt", "ffn_dim": 32, "word_embed_proj_dim": 32},
        num_query_tokens=4,
        image_token_index=3,
    )
    network: nn.Module = hf.Blip2ForImageTextRetrieval(config)
    return network


def captioner(encoder: str) -> Callable[[], nn.Module]:
    """A vision encoder and a text decoder."""

    def build() -> nn.Module:
        seen = getattr(hf, f"{encoder}Config")(**(SWIN if "Swin" in encoder else WIDE))
        spoken = hf.TrOCRConfig(
            **{"vocab_size": 50, "d_model": 32, "decoder_layers": 1, "decoder_ffn_dim": 32},
            **{"decoder_attention_heads": 4, "max_position_embeddings": 16},
        )
        config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(seen, spoken)
        network: nn.Module = hf.VisionEncoderDecoderModel(config)
        return network

    return build


def perceiver() -> nn.Module:
    config = hf.PerceiverConfig(
        **{"num_latents": 6, "d_latents": 16, "d_model": 64, "num_blocks": 1, "image_size": 16},
        **{"num_self_attends_per_block": 1, "num_self_attention_heads": 2},
        **{"num_cross_attention_heads": 1, "num_labels": 3},
    )
    network: nn.Module = hf.PerceiverForImageClassificationFourier(config)
    return network


def any_resolution(pictures: Tensor) -> dict[str, Any]:
    """LLaVA-NeXT's crops of a wide picture: one of the whole, here of nothing, then the halves."""
    left, right = pictures.chunk(2, dim=-1)
    crops = torch.stack([torch.zeros_like(left), left, right], dim=1)
    ids = prompt(36 + 6 * (12 + 1))
    return {"pixel_values": crops, "image_sizes": torch.tensor([[48, 96]]), "input_ids": ids}


def llava_next() -> nn.Module:
    config = hf.LlavaNextConfig(
        vision_config={**SQUARE, "model_type": "clip_vision_model"},
        text_config=LLAMA,
        image_token_id=IMAGE,
        image_grid_pinpoints=[[48, 96], [96, 48]],
    )
    network: nn.Module = hf.LlavaNextModel(config)
    return network


def davit() -> nn.Module:
    """Florence-2's tower: windows of a stage, then attention between channels."""
    from transformers.models.florence2 import modeling_florence2 as florence2

    config = florence2.Florence2VisionConfig(
        **{"embed_dim": (16, 32), "depths": (1, 1), "num_heads": (2, 4), "num_groups": (2, 4)},
        **{"patch_size": (7, 3), "patch_stride": (4, 2), "patch_padding": (3, 1)},
        **{"patch_prenorm": (False, True), "window_size": 4, "projection_dim": 16},
    )
    network: nn.Module = florence2.Florence2VisionBackbone(config)
    return focused(network)


def of_zoo(
    name: str,
    *leading: int,
    size_hw: tuple[int, int] = (96, 160),
    channels: int = 3,
    given: str = "pixel_values",
    quiet: str = "",
    apart: bool = False,
    seed: int = 0,
    **more: Any,
) -> Callable[[], Built]:
    """A model of the zoo with other pictures, under the name by which it takes them.

    `apart` takes group norms out, which mix all places of a map; `seed` chooses the weights.
    """

    def build() -> Built:
        torch.manual_seed(seed)
        network, inputs = named(name).make()
        assert isinstance(inputs, dict)
        rest = {**inputs, **more}
        begin(network)
        focus(network)
        if apart:
            part(network)
        hush(network, quiet)
        made = pixels(*leading, size_hw=size_hw, channels=channels)
        settle(network.eval(), {**rest, given: made})
        hush(network, quiet)  # again, where a batch norm took it back
        return network, made, lambda p: {**rest, given: p}

    return build


def fuyu() -> nn.Module:
    config = hf.FuyuConfig(
        image_size=48, patch_size=8, image_token_id=IMAGE, text_config={**LLAMA, **PERSIMMON}
    )
    network: nn.Module = hf.FuyuModel(config)
    return network


def broken_rows(pictures: Tensor) -> dict[str, Any]:
    """Fuyu's patches, and placeholders for them with a line break after each row."""
    rows = patch_rows(pictures)
    row = [IMAGE] * (pictures.shape[-1] // 8) + [9]
    flat = torch.tensor([[3, *row * (pictures.shape[-2] // 8), 4, 5]])
    return {"input_ids": flat, "pixel_values": rows}


def packing(name: str) -> Callable[[], Built]:
    """A model that takes 2 x 2 latents of 8 x 8 pixels as one token, and is told their places."""

    def build() -> Built:
        torch.manual_seed(0)
        network, inputs = named(name).make()
        assert isinstance(inputs, dict)
        rows, columns = 4, 6
        places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
        if "img_ids" in inputs:
            ids = torch.zeros(len(places), inputs["img_ids"].shape[1])
            ids[:, 1:3] = places
            inputs["img_ids"] = ids
        else:
            inputs["img_shapes"] = [(1, rows, columns)]

        def given(pictures: Tensor) -> dict[str, Any]:
            latents = nn.functional.avg_pool2d(pictures, 8)
            packed = nn.functional.pixel_unshuffle(latents, 2).flatten(2).transpose(1, 2)
            return {**inputs, "hidden_states": packed}

        return network.eval(), pixels(size_hw=(rows * 16, columns * 16), channels=2), given

    return build
