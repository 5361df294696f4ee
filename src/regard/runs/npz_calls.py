"""The attention in npz files of the DVIS attention pipeline, each read when it is asked for.

They hold masked weights, averaged over heads, so nothing else can be told.
"""

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regard.attention import Attention, ExplicitAttention, Selection
from regard.errors import CaptureError, FormatError
from regard.kept import Kept
from regard.models.dvis_daq.module_paths import PREDICTOR, TIME, TRACKER_CROSS
from regard.models.dvis_daq.tracks import TrackedFrame
from regard.runs.npz_names import NpzFiles
from regard.scores import Part
from regard.tokens import Tokens

SIZE_LIMIT_BYTES = 2**34
"""Arrays that take more are refused."""


class HeadMean(ExplicitAttention):
    """A call of which the mean over heads of its masked weights was kept."""

    def _part(self, queries: Selection, heads: Selection) -> Part:
        if heads is not None:
            raise CaptureError(
                f"layer {self.layer!r}: single heads were not kept, only their mean; record the "
                "videos again with regard run"
            )
        return super()._part(queries, heads)


class NpzCalls:
    """The kept calls of one video; see `regard.models.dvis_daq.story.Calls`.

    Args:
        files: The video's files.
        tracked: Which query of the tracker was which track in each frame.
    """

    def __init__(self, files: NpzFiles, tracked: Mapping[int, TrackedFrame]) -> None:
        self._files, self._tracked = files, tracked

    def find(self, stem: str, place: int, layer: int) -> Attention | None:
        """The call of one layer at one place; ``None`` if it was not kept."""
        if stem == PREDICTOR and (path := self._files.predictor.get((place, layer))):
            return _call(f"{stem}.{layer}", read_array(path, "attention_weights", 3)[:, None])
        if stem == TRACKER_CROSS and (path := self._files.tracker.get((place, layer))):
            weights = read_array(path, "attention_weights", 3)[:, None]
            return _call(f"{stem}.{layer}", weights, self._names(place, weights.shape[2]))
        if stem == TIME and place == 0 and (path := self._files.refiner.get(layer)):
            return _call(f"{stem}.{layer}", read_array(path, "attention_weights", 3)[:, None])
        return None

    def maps(self, frame: int) -> Tensor | None:
        """Finished maps were never made."""
        return None

    def _names(self, frame: int, count: int) -> Tokens:
        of = self._tracked[frame]
        named = dict(zip(of.left_queries, of.left, strict=True))
        names = (
            f"track {named[query]}" if query in named else f"candidate {query - len(named)}"
            for query in range(count)
        )
        return Tokens(count, prefix=tuple(names))


def _call(layer: str, weights: Tensor, queries: Tokens | None = None) -> HeadMean:
    batch, heads, rows, keys = weights.shape
    return HeadMean(
        shape=(batch, heads, rows, keys),
        kept_weights=Kept(weights),
        may_block=True,
        layer=layer,
        queries=queries or Tokens(rows),
        notes=("masked, mean over heads",),
    )


def read_array(path: Path, name: str, dimensions: int) -> Tensor:
    """An array of an npz file, float32.

    Raises:
        FormatError: It is damaged, larger than any attention, or has other dimensions.
    """
    shape = array_shape(path, name)
    if len(shape) != dimensions:
        raise FormatError(f"{path}: {name} is {shape}, expected {dimensions} dimensions")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return torch.from_numpy(np.ascontiguousarray(arrays[name], dtype=np.float32))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FormatError(f"{path} cannot be read: {error}; make it again") from error


def array_shape(path: Path, name: str) -> tuple[int, ...]:
    """Shape of an array of an npz file, from its header."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, _, dtype = read(file)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FormatError(f"{path} holds no array {name}: {error}") from error
    if dtype.hasobject or int(np.prod(shape, dtype=object)) * dtype.itemsize > SIZE_LIMIT_BYTES:
        raise FormatError(f"{path}: {name} is {shape} of {dtype}, more than any attention")
    return tuple(int(side) for side in shape)


def read_json(path: Path) -> Any:
    """A JSON file of such a run.

    Raises:
        FormatError: It is missing or damaged.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path} cannot be read: {error}") from error
