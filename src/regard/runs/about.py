"""`run.json`: how a run was made. The same run gives the same bytes: no times, no places.

A folder belongs to one run. A command that would make another one there is refused, with what
differs.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch

from regard import __version__
from regard.errors import FormatError, RunError
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.settings import Settings
from regard.models.dvis_daq.story import Keep

RUN_JSON = "run.json"
FORMAT = "regard-run"
VERSION = 1

_CHUNK_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class About:
    """How a run is made."""

    model: str
    """Name of the checkpoint."""
    model_sha256: str
    """Of the checkpoint file, or of the weights of a model in memory."""
    settings: Settings
    """Thresholds, sizes, windows."""
    keep: Keep
    """What is kept."""
    layers: tuple[int, ...]
    """Layers of the predictor that are kept."""
    frames: str
    """Which frames of each video."""
    categories: tuple[tuple[int, str], ...]
    """(id, name) of each class, in the order in which the model numbers them."""
    videos: tuple[tuple[str, str | None], ...]
    """(name, source relative to the run) of each video, in order."""
    dataset: str | None = None
    """Name of the dataset's file."""
    dataset_sha256: str | None = None
    """Of that file."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``run.json``."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "regard": __version__,
            "torch": torch.__version__,
            "model": {"name": self.model, "sha256": self.model_sha256},
            "dataset": {"name": self.dataset, "sha256": self.dataset_sha256},
            "settings": asdict(self.settings),
            "keep": self.keep,
            "layers": list(self.layers),
            "frames": self.frames,
            "categories": [{"id": number, "name": name} for number, name in self.categories],
            "videos": [{"id": name, "source": source} for name, source in self.videos],
        }

    def to_bytes(self) -> bytes:
        """The file."""
        return (json.dumps(self.to_json(), indent=1) + "\n").encode()

    def joined_with(self, found: Mapping[str, Any]) -> Self:
        """This run with the videos that a folder has already put before its own.

        Raises:
            RunError: The folder belongs to a run that was made in another way.
        """
        wanted = json.loads(self.to_bytes())
        differing = sorted(_differences(found, wanted))
        if differing:
            lines = "; ".join(f"{path}: {old!r} there, {new!r} now" for path, old, new in differing)
            raise RunError(
                f"the folder holds another run ({lines}); choose another folder, or remove this one"
            )
        there = {str(video["id"]): video["source"] for video in found["videos"]}
        self._require_same_videos(there)
        merged = there | dict(self.videos)
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return type(self)(**(fields | {"videos": tuple(merged.items())}))

    def _require_same_videos(self, there: Mapping[str, str | None]) -> None:
        """Refuse another video under a name that is taken; datasets are told by their checksum."""
        for name, source in self.videos:
            if self.dataset is None and there.get(name, source) != source:
                raise RunError(
                    f"the folder has a video {name!r} already, made of {there[name]}, which is "
                    f"another one than {source}; choose another folder"
                )


def read_about(run: Path) -> dict[str, Any] | None:
    """What ``run.json`` says; ``None`` where there is none.

    Raises:
        FormatError: It is damaged, or of a newer version.
    """
    path = run / RUN_JSON
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, expected {FORMAT!r}")
        if content["version"] != VERSION:
            raise ValueError(f"version {content['version']}, expected {VERSION}: update regard")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise FormatError(f"{path} does not describe a run: {reason}") from error
    found: dict[str, Any] = content
    return found


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def weights_sha256(model: torch.nn.Module) -> str:
    """SHA-256 of the weights of a model in memory, with their names and shapes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def class_categories(network: DvisDaq, names: Sequence[str]) -> tuple[tuple[int, str], ...]:
    """(id, name) of each class of a model outside of any dataset: numbered from 1."""
    count = network.sem_seg_head.predictor.class_embed.out_features - 1
    return tuple(
        (label + 1, names[label] if label < len(names) else f"class {label}")
        for label in range(count)
    )


def relative_source(source: str | os.PathLike[str], run: Path) -> str:
    """A path as seen from the run, so that both can be moved together."""
    try:
        return Path(os.path.relpath(source, run)).as_posix()
    except ValueError:  # on another drive
        return Path(source).resolve().as_posix()


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Sequence[tuple[str, Any, Any]]:
    """(path, old value, new value) of everything but the list of videos that differs."""
    found: list[tuple[str, Any, Any]] = []
    for key in old.keys() | new.keys():
        before, after = old.get(key), new.get(key)
        if not prefix and key == "videos":
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            found += _differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append((f"{prefix}{key}", before, after))
    return found
