"""Loading the released checkpoint folder: one subfolder for each network, as diffusers writes it.

transformer/                 config.json, diffusion_pytorch_model.safetensors
vae/                         the same
image_encoder_dinov2/        config.json, model.safetensors (transformers)
feature_extractor_dinov2/    preprocessor_config.json
scheduler/                   scheduler_config.json
generation_config.json       how it wants to be run, where that is not as the released model is
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from regard.errors import CheckpointError, ModelNotFound
from regard.miniatures import WEIGHTS_SHA256, miniature_folder
from regard.models import vit
from regard.models.checkpoint import read_json, read_weights
from regard.models.partcrafter.photo import PREPROCESSING
from regard.models.partcrafter.transformer import PartTransformer, TransformerConfig
from regard.models.partcrafter.vae import UNUSED, FieldDecoder, FieldDecoderConfig
from regard.models.preprocessing import Preprocessing

T = TypeVar("T", bound=nn.Module)
_STEM = "diffusion_pytorch_model"


@dataclass(frozen=True, kw_only=True)
class GenerationDefaults:
    """How a checkpoint is run where nobody says otherwise; here as upstream runs its own.

    Attributes:
        steps: Denoising steps.
        guidance: Classifier-free guidance; 1 turns it off.
        tokens: Latent tokens of a part.
        depth: The field is sampled with 2^depth cells a side.
    """

    steps: int = 50
    guidance: float = 7.0
    tokens: int = 1024
    depth: int = 8


@dataclass(frozen=True, kw_only=True)
class PartCrafter:
    """The networks of a checkpoint, ready to run.

    Attributes:
        transformer: Denoises latents.
        decoder: Turns latents into fields.
        encoder: transformers' `Dinov2Model`; its last hidden state is what the transformer reads.
        patch_hw: Height and width of an image token, in pixels of the encoder's input.
        preprocessing: What the encoder takes.
        schedule: Content of `scheduler_config.json`.
        defaults: How it is run where nobody says otherwise.
        origin: Where it came from.
    """

    transformer: PartTransformer
    decoder: FieldDecoder
    encoder: nn.Module
    patch_hw: tuple[int, int]
    preprocessing: Preprocessing
    schedule: dict[str, Any]
    defaults: GenerationDefaults
    origin: str

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.transformer.proj_in.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return self.transformer.proj_in.weight.dtype


def load(
    source: str | os.PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> PartCrafter:
    """The checkpoint in a local folder, or the miniature of a name ("mini-partcrafter").

    Raises:
        ModelNotFound: A subfolder or a file of it is not there.
        CheckpointError: Weights that are damaged or not those of their config.json.
        UnsafeCheckpoint: Weights that would have to run code to be read.
    """
    named = str(source) in WEIGHTS_SHA256
    folder = miniature_folder(str(source)) if named else Path(source).expanduser()
    for part in ("transformer", "vae", "image_encoder_dinov2"):
        if not (folder / part / "config.json").is_file():
            raise ModelNotFound(
                f"{folder} holds no {part}/config.json; expected a PartCrafter folder with "
                "transformer, vae, image_encoder_dinov2, feature_extractor_dinov2 and scheduler"
            )
    transformer = _network(
        folder / "transformer", lambda c: PartTransformer(TransformerConfig.from_json(c))
    )
    decoder = _network(folder / "vae", lambda c: FieldDecoder(FieldDecoderConfig.from_json(c)))
    encoder = vit.family.load(
        folder / "image_encoder_dinov2", name="dinov2", licence="", origin=str(folder)
    )
    _require_widths(folder, transformer.config, decoder.config, encoder.module)
    return PartCrafter(
        transformer=transformer.to(device, dtype),
        decoder=decoder.to(device, dtype),
        encoder=encoder.module.to(device, dtype),
        patch_hw=encoder.patch_hw,
        preprocessing=_preprocessing(folder),
        schedule=_optional(folder / "scheduler" / "scheduler_config.json"),
        defaults=_defaults(folder / "generation_config.json"),
        origin="shipped with regard" if named else f"folder {folder}",
    )


def _require_widths(
    folder: Path, config: TransformerConfig, decoder: FieldDecoderConfig, encoder: nn.Module
) -> None:
    """The three networks must have been trained together."""
    width = encoder.get_parameter("layernorm.weight").numel()
    if width != config.cross_attention_dim or decoder.latent_channels != config.in_channels:
        raise CheckpointError(
            f"the networks in {folder} do not fit together: the transformer reads image tokens of "
            f"{config.cross_attention_dim} channels and makes latents of {config.in_channels}, "
            f"the encoder gives {width}, the decoder takes {decoder.latent_channels}; take all "
            "subfolders from one source"
        )


def _network(folder: Path, build: Callable[[dict[str, Any]], T]) -> T:
    config = read_json(folder / "config.json")
    try:
        network = build(config)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(f"{folder / 'config.json'} is not understood: {error}") from error
    weights = read_weights(folder, stem=_STEM)
    if isinstance(network, FieldDecoder):
        weights = {name: w for name, w in weights.items() if not name.startswith(UNUSED)}
    _require_fit(folder, network, weights)
    network.load_state_dict(weights)
    return network.eval()


def _require_fit(folder: Path, network: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    missing, surplus = sorted(expected.keys() - found), sorted(found.keys() - expected)
    wrong = [n for n in expected.keys() & found.keys() if expected[n] != found[n]]
    if missing or surplus or wrong:
        shapes = "; ".join(f"{n} is {found[n]}, expected {expected[n]}" for n in wrong[:2])
        raise CheckpointError(
            f"the weights in {folder} are not those of its config.json: {len(missing)} missing "
            f"({', '.join(missing[:2])}), {len(surplus)} unknown ({', '.join(surplus[:2])}), "
            f"{len(wrong)} of another shape ({shapes}); take both files from one source"
        )


def _preprocessing(folder: Path) -> Preprocessing:
    found = _optional(folder / "feature_extractor_dinov2" / "preprocessor_config.json")
    return PREPROCESSING.updated(found, square=False)


def _defaults(path: Path) -> GenerationDefaults:
    try:
        return GenerationDefaults(**_optional(path))
    except TypeError as error:
        known = ", ".join(field.name for field in fields(GenerationDefaults))
        raise CheckpointError(f"{path} is not understood: {error}; known: {known}") from error


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}
