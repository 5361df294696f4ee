"""The kept calls of one video in several files, written while the model runs.

A part holds the calls of some frames: of the predictor and what runs before it ("segment"), of the
tracker ("track"), or of the refiner ("refine"). It ends with the window or frame that fills it, so
memory does not grow with the video, and parts are the same however the run was interrupted.
"""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from glob import escape
from typing import Literal, get_args

import torch
from torch import Tensor

from regard.attention import Attention
from regard.closing import Closing
from regard.models.dvis_daq.inference import Part
from regard.models.dvis_daq.module_paths import PREDICTOR
from regard.packing import Piece, beside_model, safetensors_pieces
from regard.runs.journal import Seal
from regard.storage import pack

PART_BYTES = 64 * 2**20
"""A part is closed when it holds so many bytes of tensors, ..."""
PART_CALLS = 4096
"""... or so many calls."""

_AT_ONCE, _MOST_WAITING = min(4, os.cpu_count() or 1), 4
"""While one part waits for the disk, the next is packed; the model waits if more come."""

PartKind = Literal["segment", "track", "refine", "maps"]


@dataclass(frozen=True)
class StoredPart:
    """A part that is written."""

    kind: PartKind
    first: int
    """First frame."""
    stop: int
    """The frame after the last."""
    name: str
    """Path in the run."""


@dataclass(eq=False)
class PartWriter(Closing):
    """Takes the calls of one video as they come, and writes a part when one is full.

    Parts are packed and written on threads of their own while the model goes on. Use it in a
    ``with``.

    Attributes:
        stem: How the names of its files begin, such as ``attention_maps/video_12``.
        write: Puts a file into the run.
    """

    stem: str
    write: Callable[[str, Sequence[Piece]], Seal]
    parts: list[StoredPart] = field(default_factory=list)
    seals: dict[str, Seal] = field(default_factory=dict)
    _open: dict[PartKind, list[Attention]] = field(default_factory=dict)
    _bytes: Counter[PartKind] = field(default_factory=Counter)  # of the calls in `_open`
    _maps: list[tuple[int, Tensor]] = field(default_factory=list)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_AT_ONCE))
    _writing: deque[tuple[str, Future[Seal]]] = field(default_factory=deque)

    def add(self, kind: Part, calls: Sequence[Attention]) -> None:
        """Add the calls of a window, a frame or the refiner, which stay together."""
        waiting = self._open.setdefault(kind, [])
        waiting += calls
        self._bytes[kind] += sum(call.nbytes for call in calls)
        if len(waiting) >= PART_CALLS or self._bytes[kind] >= PART_BYTES:
            self._flush(kind)

    def add_maps(self, frame: int, maps: Tensor) -> None:
        """Add the finished maps of a frame, (tracks, cells)."""
        self._maps.append((frame, maps))
        if sum(kept.nbytes for _, kept in self._maps) >= PART_BYTES:
            self._flush_maps()

    def flush(self) -> None:
        """Begin to write what is left, so that `parts` has all."""
        for kind in sorted(self._open):
            self._flush(kind)
        self._flush_maps()

    def finish(self) -> None:
        """Write what is left, and wait until all is written."""
        self.flush()
        while self._writing:
            self._wait()

    def close(self) -> None:
        """Wait for the parts that are being written; what was not begun is not written."""
        self._threads.shutdown(cancel_futures=True)

    def _flush(self, kind: PartKind) -> None:
        calls = self._open.pop(kind, [])
        self._bytes[kind] = 0
        if not calls:
            return
        first = min(call.axes["frame"] for call in calls)
        beside = beside_model(calls[0].held[0].device)

        def packed() -> list[Piece]:
            with beside:
                return pack(calls)

        self._put(kind, first, max(map(_stop, calls)), packed)

    def _flush_maps(self) -> None:
        if not self._maps:
            return
        frames = [frame for frame, _ in self._maps]
        tensors = {f"frame_{frame}": maps for frame, maps in self._maps}
        self._maps = []
        self._put("maps", frames[0], frames[-1] + 1, lambda: safetensors_pieces(tensors, {}))

    def _put(self, kind: PartKind, first: int, stop: int, make: Callable[[], list[Piece]]) -> None:
        # what the refiner sees is the whole video, so its parts are only counted
        count = sum(part.kind == kind for part in self.parts)
        frames = str(count) if kind == "refine" else f"{first}-{stop}"
        name = f"{self.stem}_{kind}_{frames}.safetensors"
        self.parts.append(StoredPart(kind, first, stop, name))
        while len(self._writing) >= _MOST_WAITING:
            self._wait()
        self._writing.append((name, self._threads.submit(lambda: self.write(name, make()))))

    def _wait(self) -> None:
        """Until the oldest of the parts is written; raises what went wrong with it."""
        name, written = self._writing.popleft()
        self.seals[name] = written.result()


def part_patterns(stem: str) -> list[str]:
    """Globs of the parts that a video may have left."""
    return [f"{escape(stem)}_{kind}_[0-9]*.safetensors" for kind in get_args(PartKind)]


def part_of_layer(layer: str) -> Part:
    """The part of a run in which a layer runs."""
    first = layer.split(".")[0]
    parts: dict[str, Part] = {"refiner": "refine", "tracker": "track"}
    return parts.get(first, "segment")


def _stop(call: Attention) -> int:
    """The frame after those of a call; the predictor takes a window at once."""
    first: int = call.axes["frame"]
    return first + (call.shape[0] if call.layer.startswith(PREDICTOR) else 1)


def add_recording(writer: PartWriter, calls: Iterable[Attention]) -> None:
    """Add the calls of a run that is over, window by window and frame by frame."""
    groups: dict[tuple[Part, int], list[Attention]] = {}
    for call in calls:
        part = part_of_layer(call.layer)
        place = call.axes["window"] if part == "segment" else call.axes["frame"]
        groups.setdefault((part, place), []).append(call)
    for (part, _), group in groups.items():
        writer.add(part, group)


def tensor_of_text(text: str) -> Tensor:
    """Text as bytes in a tensor; headers of safetensors files are limited, tensors are not."""
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def text_of_tensor(tensor: Tensor) -> str:
    """The text again."""
    return tensor.numpy().tobytes().decode()
