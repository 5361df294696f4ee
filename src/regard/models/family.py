"""What a model family is: it loads a checkpoint, prepares a photo, and says where tokens lie."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image
from torch import Tensor, nn

from regard.geometry import ViewTransform
from regard.tokens import Tokens

if TYPE_CHECKING:
    from regard.models.preprocessing import Preprocessing


class RecordedCall(Protocol):
    """What a family needs of a recorded attention call."""

    queries: Tokens
    keys: Tokens

    @property
    def layer(self) -> str:
        """Path of the module that the call was made in."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(batch, heads, queries, keys)``."""


@dataclass(frozen=True)
class Prepared:
    """A photo as a model takes it."""

    inputs: dict[str, Tensor]
    """Keyword arguments of the model, on its device, e.g. ``pixel_values`` (1, 3, h, w)."""
    view: ViewTransform
    """Where the input's pixels lie on the photo."""
    photo: Image.Image
    """The photo itself, upright and RGB, before anything was done to it."""


class Family(Protocol):
    """A kind of model; one file in this package each."""

    name: str
    """Name of the family, e.g. ``vit``."""

    def load(self, folder: Path, *, name: str, licence: str, origin: str) -> "LoadedModel":
        """The checkpoint in a local folder, on the CPU, in float32 and evaluation mode."""

    def prepare(
        self, loaded: "LoadedModel", photo: Image.Image, *, short_side_px: int | None = None
    ) -> Prepared:
        """A photo as the model takes it, and where its pixels went."""

    def lay_out(
        self, loaded: "LoadedModel", recording: Iterable[RecordedCall], prepared: Prepared
    ) -> None:
        """Tell every recorded call what its queries and keys stand for."""


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model that is ready to run, with the facts needed to show what it looks at."""

    name: str
    """What it was asked for by, e.g. ``dinov2-small``."""
    module: nn.Module = field(repr=False)
    """The network: float32, evaluation mode."""
    family: Family = field(repr=False)
    """The family that prepares its inputs and lays out its tokens."""
    patch_hw: tuple[int, int]
    """Height and width of a patch, in input pixels."""
    size_hw: tuple[int, int] | None
    """The only input size that it takes; ``None`` where it takes any."""
    prefix: tuple[str, ...]
    """Names of the tokens before the patches, e.g. ``("cls", "register 1")``."""
    preprocessing: "Preprocessing" = field(repr=False)
    """What its checkpoint asks to be done to a photo."""
    layers: tuple[str, ...] = field(repr=False)
    """Paths of its self-attention modules, first block to last."""
    default_layer: str
    """The one of ``layers`` to look at when nobody said which."""
    licence: str
    """Licence of the weights as their source states it, or ``"not stated"``."""
    origin: str
    """Where the weights came from."""

    def prepare(self, photo: Image.Image, **options: Any) -> Prepared:
        """A photo as this model takes it; options are those of its family's ``prepare``."""
        return self.family.prepare(self, photo, **options)

    def lay_out(self, recording: Iterable[RecordedCall], prepared: Prepared) -> None:
        """Tell every recorded call what its queries and keys stand for."""
        self.family.lay_out(self, recording, prepared)
