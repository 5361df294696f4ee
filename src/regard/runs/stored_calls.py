"""The kept calls of a video on disk, found by what they are; each is read when it is asked for.

A file is checked against the journal when it is first opened: what a flipped bit changed would
otherwise be read as numbers.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from regard.attention import Attention
from regard.errors import FormatError
from regard.models.dvis_daq.video_attention import place_of
from regard.runs.journal import Seal, difference
from regard.runs.parts import PartKind, StoredPart, part_of_layer
from regard.storage import StoredCalls, TensorFile, readable

FILES_HELD = 4
"""Opened files that are held; headers take memory."""


class SealedFiles:
    """Files of a run that are checked once before they are read.

    Args:
        run: Folder of the run.
        seals: What its files must be.
    """

    def __init__(self, run: Path, seals: Mapping[str, Seal]) -> None:
        self._run, self._seals = run, seals
        self._checked: set[str] = set()

    def path(self, name: str) -> Path:
        """Where a file lies, once it is known to be whole.

        Raises:
            FormatError: It is missing, cut short or changed.
        """
        path = self._run / name
        if name not in self._checked:
            wrong = difference(path, self._seals.get(name))
            if wrong is not None:
                raise FormatError(
                    f"{path} {wrong}; delete it with its line in the journal and run again, or "
                    "see everything that is wrong with: regard check RUN"
                )
            self._checked.add(name)
        return path


class CallsOnDisk:
    """The kept calls of one video; see `regard.models.dvis_daq.story.Calls`.

    Args:
        parts: Which part holds which frames.
        files: The run's files.
    """

    def __init__(self, parts: Sequence[StoredPart], files: SealedFiles) -> None:
        self._parts, self._files = parts, files
        self._held: OrderedDict[str, tuple[StoredCalls, dict[tuple[str, int, int], int]]] = (
            OrderedDict()
        )

    def find(self, stem: str, place: int, layer: int) -> Attention | None:
        """The call of one layer at one place; ``None`` if it was not kept."""
        for part in self._with(part_of_layer(stem), place):
            stored, places = self._open(part.name)
            if (index := places.get((stem, place, layer))) is not None:
                return stored.call(index)
        return None

    def maps(self, frame: int) -> Tensor | None:
        """Finished maps of the tracks that live after a frame."""
        for part in self._with("maps", frame):
            path = self._files.path(part.name)
            with readable(path):
                return TensorFile(path)[f"frame_{frame}"].clone()
        return None

    def _with(self, kind: PartKind, place: int) -> list[StoredPart]:
        """Parts of a kind that can hold a frame; what the refiner kept belongs to no frame."""
        of_kind = [part for part in self._parts if part.kind == kind]
        return [part for part in of_kind if kind == "refine" or part.first <= place < part.stop]

    def _open(self, name: str) -> tuple[StoredCalls, dict[tuple[str, int, int], int]]:
        if name not in self._held:
            stored = StoredCalls(self._files.path(name))
            with readable(name):
                places = {
                    place_of(story["layer"], story["axes"]): index
                    for index, story in enumerate(stored.stories)
                }
            self._held[name] = stored, places
            if len(self._held) > FILES_HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(name)
        return self._held[name]
