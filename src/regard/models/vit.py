"""Plain vision transformers: ViT, DeiT, DINOv2, DINOv3, and the image towers of CLIP and SigLIP.

They run as transformers builds them, on their own attention path. A photo becomes a grid of
patches, row by row, after a prefix of tokens that stand for no place.

Which layer to look at: the second-to-last block. On nine COCO photos with known objects,
DINOv2-small's class token gives the objects 9.0 times the attention of their area in block 10
of 0-11, 5.7 times in block 8, and 6.3 times in the last, which has bright artifact tokens in
empty sky.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import transformers
from PIL import Image
from torch import nn

from regard.errors import CheckpointError, GeometryError
from regard.models.checkpoint import read_config, read_json, read_weights
from regard.models.family import LoadedModel, Prepared, RecordedCall
from regard.models.hugging_face import build
from regard.models.preprocessing import Preprocessing, require_rgb, whole_photo
from regard.tokens import Tokens
from regard.tokens.grid import GridTokens

SHORT_SIDE_PX = 336
"""Short side of a whole photo, where the model takes any size: 24 patches of 14, 21 of 16."""

# where a checkpoint has no preprocessor_config.json, or one that leaves things out
_HALF = Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
_IMAGENET = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
_CLIP = Preprocessing(
    mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)
)
_BLOCK = re.compile(r"(?:^|\.)layers?\.(\d+)(?:\.|$)")
_OTHER_TOWER = re.compile(r"^(?:text_model|decoder)\.")


@dataclass(frozen=True)
class _Architecture:
    class_name: str
    """Class of transformers."""
    prefix: tuple[str, ...] = ("cls",)
    any_size: bool = False
    square: bool = False
    """Whether a bare ``size`` in old preprocessor files means both sides."""
    preprocessing: Preprocessing = _HALF
    pooling_layer: bool = False
    """Whether the class takes ``add_pooling_layer``; the pooler comes after all attention."""


_ARCHITECTURES = {
    "vit": _Architecture(
        "ViTModel",
        square=True,
        preprocessing=replace(_HALF, resample=Image.Resampling.BILINEAR),
        pooling_layer=True,
    ),
    "deit": _Architecture(
        "DeiTModel",
        ("cls", "distillation"),
        square=True,
        preprocessing=_IMAGENET,
        pooling_layer=True,
    ),
    "dinov2": _Architecture("Dinov2Model", any_size=True, preprocessing=_IMAGENET),
    "dinov2_with_registers": _Architecture(
        "Dinov2WithRegistersModel", any_size=True, preprocessing=_IMAGENET
    ),
    "dinov3_vit": _Architecture(
        "DINOv3ViTModel", any_size=True, square=True, preprocessing=_IMAGENET
    ),
    "clip": _Architecture("CLIPVisionModel", preprocessing=_CLIP),
    "clip_vision_model": _Architecture("CLIPVisionModel", preprocessing=_CLIP),
    "siglip": _Architecture("SiglipVisionModel", ()),
    "siglip_vision_model": _Architecture("SiglipVisionModel", ()),
}


class VitFamily:
    """Loads, prepares and lays out the plain vision transformers."""

    name = "vit"

    def load(self, folder: Path, *, name: str, licence: str, origin: str) -> LoadedModel:
        """The image encoder in a checkpoint folder, on the CPU, float32, evaluation mode.

        Raises:
            ModelNotFound: No such folder, or no ``config.json`` in it.
            CheckpointError: Another kind of model, or weights that do not fit or are damaged.
            UnsafeCheckpoint: Weights that would have to run code to be read.
        """
        config = read_config(folder)
        architecture = _architecture_of(config, folder)
        module = _build(architecture, config, folder)
        size_hw = _pair(module.config.image_size)
        layers = _layers_of(module)
        return LoadedModel(
            name=name,
            module=module,
            family=self,
            patch_hw=_pair(module.config.patch_size),
            size_hw=None if architecture.any_size else size_hw,
            prefix=architecture.prefix + _registers(module),
            preprocessing=_preprocessing_of(architecture, size_hw, folder),
            layers=layers,
            default_layer=layers[max(0, len(layers) - 2)],
            licence=licence,
            origin=origin,
        )

    def prepare(
        self, loaded: LoadedModel, photo: Image.Image, *, short_side_px: int | None = None
    ) -> Prepared:
        """A photo as the model takes it, and where its pixels went.

        Models that take any size see the whole photo, shape kept to half a patch, nothing cut
        off. The others see what their checkpoint's preprocessing leaves of it.

        Args:
            loaded: A model of this family.
            photo: An upright RGB photo.
            short_side_px: Length of the short side that the model sees, rounded to whole patches;
                336 by default. Photos more elongated than 4 : 1 are made smaller than that.

        Raises:
            MediaError: The photo is not RGB.
            GeometryError: The model takes one size only and another was asked for, by
                ``short_side_px`` or by the checkpoint's own preprocessing.
        """
        require_rgb(photo)
        settings = loaded.preprocessing
        if loaded.size_hw is None:
            settings = whole_photo(
                settings,
                (photo.height, photo.width),
                short_side_px=_checked_side(short_side_px),
                patch_hw=loaded.patch_hw,
            )
        elif short_side_px is not None:
            raise GeometryError(
                f"{loaded.name} takes {_size(loaded.size_hw)} only, so short_side_px="
                f"{short_side_px} cannot be had; leave it out, or take a DINOv2 model"
            )
        view = settings.view((photo.height, photo.width))
        if loaded.size_hw is not None and loaded.size_hw != view.input_hw:
            raise GeometryError(
                f"the preprocessing of {loaded.name} makes {_size(view.input_hw)} of this photo, "
                f"but the model takes {_size(loaded.size_hw)} only; correct "
                "preprocessor_config.json"
            )
        pixels = settings.tensor(photo).to(next(loaded.module.parameters()).device)
        return Prepared({"pixel_values": pixels}, view, photo)

    def lay_out(
        self, loaded: LoadedModel, recording: Iterable[RecordedCall], prepared: Prepared
    ) -> None:
        """Tell every recorded call what its queries and keys stand for.

        Raises:
            GeometryError: A call has another number of tokens than the input makes.
        """
        patches = _grid(loaded, prepared, prefix=())
        tokens = _grid(loaded, prepared, prefix=loaded.prefix)
        for call in recording:
            queries, keys = call.shape[2:]
            if block_of(call.layer) is not None and queries == keys == tokens.count:
                call.queries = call.keys = tokens
            elif _is_pooling_head(call.layer) and (queries, keys) == (1, patches.count):
                call.queries, call.keys = Tokens(1, prefix=("probe",)), patches
            else:
                raise GeometryError(
                    f"{call.layer} of {loaded.name} has {queries} queries and {keys} keys, but "
                    f"{_size(prepared.view.input_hw)} in patches of {_size(loaded.patch_hw)} make "
                    f"{tokens.grid_hw[0]} rows x {tokens.grid_hw[1]} columns after "
                    f"{len(loaded.prefix)} prefix tokens: {tokens.count}; pass the Prepared that "
                    "this recording was made with"
                )


family = VitFamily()
"""The one instance; it has no state."""


def block_of(layer: str) -> int | None:
    """Index of the block, counted from 0, that a module path lies in; ``None`` outside all.

    >>> block_of("encoder.layer.10.attention")
    10
    """
    found = _BLOCK.search(layer)
    return int(found[1]) if found else None


def _architecture_of(config: dict[str, Any], folder: Path) -> _Architecture:
    model_type = config["model_type"]
    if model_type not in _ARCHITECTURES:
        raise CheckpointError(
            f"{folder} is a model of type {model_type!r}; supported: {', '.join(_ARCHITECTURES)}"
        )
    return _ARCHITECTURES[model_type]


def _build(
    architecture: _Architecture, config: dict[str, Any], folder: Path
) -> transformers.PreTrainedModel:
    if config.get("quantization_config"):
        raise CheckpointError(f"{folder} is quantized; expected float weights")
    if _tower_config(config).get("num_channels", 3) != 3:
        raise CheckpointError(f"{folder} takes other pictures than RGB: its num_channels is not 3")
    options = {"add_pooling_layer": False} if architecture.pooling_layer else {}
    return build(
        getattr(transformers, architecture.class_name),
        _tower_config(config),
        read_weights(folder),
        where=str(folder),
        may_lack=_is_optional,
        may_hold=_is_of_other_parts,
        **options,
    )


def _tower_config(config: dict[str, Any]) -> dict[str, Any]:
    """The image tower's part."""
    tower: dict[str, Any] = config.get("vision_config", config)
    return tower


def _is_optional(key: str) -> bool:
    return key.endswith("mask_token")


def _is_of_other_parts(key: str) -> bool:
    return not _BLOCK.search(key) or bool(_OTHER_TOWER.search(key))


def _preprocessing_of(
    architecture: _Architecture, size_hw: tuple[int, int], folder: Path
) -> Preprocessing:
    """The checkpoint's own settings; the model's whole input size where it has none."""
    settings = replace(architecture.preprocessing, resize_hw=size_hw)
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return settings
    return settings.updated(read_json(path), square=architecture.square)


def _layers_of(module: nn.Module) -> tuple[str, ...]:
    ends = (".attention", ".self_attn")
    return tuple(
        path
        for path, _ in module.named_modules()
        if path.endswith(ends) and block_of(path) is not None
    )


def _registers(module: nn.Module) -> tuple[str, ...]:
    count = getattr(module.config, "num_register_tokens", 0)
    return tuple(f"register {number}" for number in range(1, count + 1))


def _grid(loaded: LoadedModel, prepared: Prepared, *, prefix: tuple[str, ...]) -> GridTokens:
    """Tokens of the input's real size; a strip narrower than a patch makes none."""
    height, width = prepared.inputs["pixel_values"].shape[-2:]
    rows, columns = height // loaded.patch_hw[0], width // loaded.patch_hw[1]
    return GridTokens(
        rows * columns + len(prefix),
        grid_hw=(rows, columns),
        stride_px=loaded.patch_hw,
        view=prepared.view,
        prefix=prefix,
    )


def _is_pooling_head(layer: str) -> bool:
    return layer == "head.attention" or layer.endswith(".head.attention")


def _pair(side: Any) -> tuple[int, int]:
    if isinstance(side, int):
        return side, side
    height, width = side
    return int(height), int(width)


def _checked_side(short_side_px: int | None) -> int:
    if short_side_px is None:
        return SHORT_SIDE_PX
    if short_side_px < 1:
        raise GeometryError(f"short_side_px is {short_side_px}; expected at least 1 pixel")
    return short_side_px


def _size(size_hw: tuple[int, int]) -> str:
    return f"{size_hw[1]} x {size_hw[0]} px"
