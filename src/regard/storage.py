"""A recording as one file: safetensors, with the story of each call in its header.

Every tensor is stored once, however many calls share it. Reading runs no code: steps come from a
closed list of operations.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from regard.atomic import write_atomically
from regard.attention import Attention, DotProductAttention, ExplicitAttention
from regard.backward import Backward
from regard.deformable import DeformableAttention
from regard.errors import CaptureError, FormatError
from regard.kept import Kept
from regard.packing import Piece, safetensors_pieces
from regard.recipe import Recipe, RecipeOp
from regard.recording import Recording, Unrecorded
from regard.sample import OutputSample
from regard.scores import Autocast, Op, Scores, Step
from regard.stitched import Place, StitchedAttention
from regard.tokens import Tokens, tokens_from_json

FORMAT = "regard-recording"
VERSION = 1
DAMAGED = (
    *(SafetensorError, KeyError, TypeError, ValueError, AttributeError),
    *(RuntimeError, RecursionError),
)
"""What reading a damaged header or tensor can raise."""
FLAGS = ("axes", "layer", "notes", "shape")
POINT_FLAGS = ("levels_hw", "points_per_level", "nearest")


def save(recording: Recording, path: str | os.PathLike[str]) -> Path:
    """The path of the file that now holds the recording, whole and unchanged.

    Raises:
        CaptureError: A call needs code to compute its weights, which no file holds.
        OSError: The file cannot be written; what was there before is still there.
    """
    write_atomically(path, pack(recording, recording.unrecorded))
    return Path(path)


def pack(calls: Iterable[Attention], unrecorded: Iterable[Unrecorded] = ()) -> list[Piece]:
    """The bytes of a file that holds these calls, in order; the same calls give the same bytes.

    Raises:
        CaptureError: A call needs code to compute its weights, which no file holds.
    """
    shared = _Shared()
    story = {
        "format": FORMAT,
        "version": VERSION,
        "calls": [_describe(call, shared) for call in calls],
        "layouts": shared.layouts,
        "unrecorded": [asdict(item) for item in unrecorded],
    }
    text = json.dumps(story, allow_nan=False)
    return safetensors_pieces(shared.tensors, {FORMAT: text})


def load(path: str | os.PathLike[str]) -> Recording:
    """The recording that `save` wrote; tensors are on the CPU.

    Raises:
        FormatError: The file is damaged, or is no recording.
        OSError: It cannot be opened.
    """
    stored = StoredCalls(path)
    with readable(path):
        tensors = {name: stored.tensors[name] for name in stored.tensors}
        return _read(stored.story, tensors)


class StoredCalls:
    """The calls in a file that `save` wrote, each read when it is asked for.

    Raises:
        FormatError: The file is damaged, or is no recording.
        OSError: It cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        with self._path.open("rb"):
            pass  # a missing or unreadable file is the caller's OSError, not a damaged one
        with readable(path):
            self.tensors = TensorFile(self._path)
            text = self.tensors.metadata.get(FORMAT)
            if text is None:
                raise FormatError(f"{path}: a safetensors file, but no recording of regard's")
            self.story: dict[str, Any] = json.loads(text)
            _require_version(self.story)
            self.stories: list[dict[str, Any]] = list(self.story["calls"])

    def call(self, index: int) -> Attention:
        """One of the calls; its tensors are read now, and held by nothing else."""
        with readable(self._path):
            return _Reader(self.tensors, self.story["layouts"]).call(self.stories[index])


class TensorFile(Mapping[str, Tensor]):
    """Tensors of a safetensors file by name, each read when it is asked for."""

    def __init__(self, path: Path) -> None:
        opened: Callable[..., Any] = safe_open
        self._file = opened(path, framework="pt")
        self._names = frozenset(self._file.keys())
        self.metadata: dict[str, str] = self._file.metadata() or {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        tensor: Tensor = self._file.get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names))

    def __len__(self) -> int:
        return len(self._names)


@contextmanager
def readable(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns whatever a damaged file can raise into a `FormatError` that names it."""
    try:
        yield
    except DAMAGED as error:
        if isinstance(error, FormatError) and str(path) in str(error):
            raise
        detail = f"{type(error).__name__}: {error}"
        raise FormatError(f"{path}: no readable recording ({detail}); record it again") from error


class _Shared:
    """What several calls have: tensors by name, each memory once, and layouts of tokens."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.layouts: list[dict[str, Any]] = []
        self._names: dict[tuple[object, ...], str] = {}
        self._places: dict[int | str, int] = {}  # of layouts, by what they are and what they say

    def add(self, kept: Kept) -> dict[str, Any]:
        """A reference to the tensor; expanded axes are told in its shape, not stored.

        A shape that is shorter than the tensor in its last two axes means its beginning.
        """
        name, compact = self._names.get(kept.identity), kept.longest.compact()
        if name is None:
            name = self._names[kept.identity] = f"t{len(self._names)}"
            self.tensors[name] = compact
        reference = {"tensor": name, "shape": list(kept.shape)}
        if self.tensors[name].shape != compact.shape:  # the same numbers, seen in another shape
            reference["view"] = list(compact.shape)
        return reference

    def maybe(self, kept: Kept | None) -> dict[str, Any] | None:
        """The same; None of what is not there."""
        return None if kept is None else self.add(kept)

    def layout(self, tokens: Tokens) -> int:
        """A reference to the layout, which the call goes on holding."""
        place = self._places.get(id(tokens))
        if place is None:
            story = tokens.to_json()
            place = self._places.setdefault(json.dumps(story), len(self.layouts))
            self._places[id(tokens)] = place
            if place == len(self.layouts):
                self.layouts.append(story)
        return place


def _describe(call: Attention, shared: _Shared) -> dict[str, Any]:
    story: dict[str, Any] = {name: getattr(call, name) for name in FLAGS}
    story["kind"] = call.kind
    story["queries"], story["keys"] = shared.layout(call.queries), shared.layout(call.keys)
    if call.sample is not None:
        story["sample"] = {
            "heads": call.sample.heads,
            "rows": call.sample.rows,
            "values": shared.add(call.sample.values),
            "outputs": shared.add(call.sample.outputs),
        }
    if call.backward is not None:
        story["backward"] = {
            "values": shared.maybe(call.backward.values),
            "output_gradient": shared.maybe(call.backward.output_gradient),
            "missing": call.backward.missing,
        }
    if isinstance(call, DotProductAttention):
        story["scores"] = _describe_scores(call.scores, shared)
    elif isinstance(call, ExplicitAttention):
        story["weights"] = shared.add(call.kept_weights)
        story["empty"] = None if call.empty is None else shared.add(call.empty)
        story["may_block"] = call.may_block
    elif isinstance(call, StitchedAttention):
        story["pieces"] = [_describe(piece, shared) for piece in call.pieces]
        story["places"] = [[place.lanes, place.queries, place.keys] for place in call.places]
    elif isinstance(call, DeformableAttention):
        story["locations"] = shared.add(call.locations)
        story["point_weights"] = shared.add(call.point_weights)
        story |= {name: getattr(call, name) for name in POINT_FLAGS}
    return story


def _describe_scores(scores: Scores, shared: _Shared) -> dict[str, Any]:
    if any(step.op == "flex" for step in scores.steps):
        raise CaptureError(
            "a call of flex_attention whose scores a Python function changes cannot be saved, "
            "because a file holds no code; record it with keep='weights'"
        )

    def operand(value: Any) -> Any:
        if isinstance(value, Kept):
            return shared.add(value)
        if isinstance(value, Recipe):
            return {"recipe": _describe_recipe(value, operand)}
        finite = not isinstance(value, float) or math.isfinite(value)
        return value if finite else {"float": repr(value)}

    return {
        "q": shared.add(scores.q),
        "k": shared.add(scores.k),
        "q_factor": scores.q_factor,
        "fused": scores.fused,
        "autocast": _describe_autocast(scores.autocast),
        "steps": [
            [s.op, s.row_axis, [operand(value) for value in s.operands], s.options, s.key_axis]
            for s in scores.steps
        ],
    }


def _describe_recipe(recipe: Recipe, operand: Callable[[Any], Any]) -> dict[str, Any]:
    return {
        "op": recipe.op,
        "inputs": [operand(x) for x in recipe.inputs],
        "shape": list(recipe.shape),
        "dtype": str(recipe.dtype).removeprefix("torch."),
        "options": recipe.options,
        "autocast": None if recipe.autocast is None else _describe_autocast(recipe.autocast),
    }


def _describe_autocast(state: Autocast) -> list[Any]:
    return [state.device_type, str(state.dtype).removeprefix("torch."), state.enabled]


def _require_version(story: Mapping[str, Any]) -> None:
    if story["version"] != VERSION:
        raise FormatError(
            f"a recording of format version {story['version']}, expected {VERSION}: "
            "update regard to read it"
        )


def _read(story: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Recording:
    reader = _Reader(tensors, story["layouts"])
    calls = [reader.call(call) for call in story["calls"]]
    return Recording(calls, [Unrecorded(**item) for item in story["unrecorded"]])


class _Reader:
    """Builds calls from their stories; tensors that calls shared are shared again."""

    def __init__(self, tensors: Mapping[str, Tensor], layouts: Sequence[Any]) -> None:
        self._tensors = tensors
        known = dict(enumerate(layouts))
        self._layout = cache(lambda place: tokens_from_json(known[place]))
        self._wholes: dict[str, Kept] = {}  # what earlier states of a cache lean on

    def call(self, story: Mapping[str, Any]) -> Attention:
        """One call."""
        common: dict[str, Any] = {name: story[name] for name in FLAGS}
        common["shape"], common["notes"] = tuple(story["shape"]), tuple(story["notes"])
        common["queries"] = self._layout(story["queries"])
        common["keys"] = self._layout(story["keys"])
        if "sample" in story:
            common["sample"] = self.sample(story["sample"])
        if "backward" in story:
            common["backward"] = self.backward(story["backward"])
        if story["kind"] == "dot_product":
            return DotProductAttention(scores=self.scores(story["scores"]), **common)
        if story["kind"] == "stitched":
            return self.stitched(story, common)
        if story["kind"] == "deformable":
            return self.deformable(story, common)
        if story["kind"] != "explicit":
            raise FormatError(f"a call of kind {story['kind']!r}: update regard to read it")
        empty = None if story["empty"] is None else self.kept(story["empty"])
        weights = self.kept(story["weights"])
        return ExplicitAttention(
            kept_weights=weights, empty=empty, may_block=story["may_block"], **common
        )

    def stitched(self, story: Mapping[str, Any], common: dict[str, Any]) -> StitchedAttention:
        """A call in pieces."""
        pieces = tuple(self.call(piece) for piece in story["pieces"])
        places = tuple(Place(*((int(a), int(b)) for a, b in place)) for place in story["places"])
        return StitchedAttention(pieces=pieces, places=places, **common)

    def deformable(self, story: Mapping[str, Any], common: dict[str, Any]) -> DeformableAttention:
        """A call that is kept as sampled points."""
        return DeformableAttention(
            locations=self.kept(story["locations"]),
            point_weights=self.kept(story["point_weights"]),
            levels_hw=tuple((int(rows), int(columns)) for rows, columns in story["levels_hw"]),
            points_per_level=tuple(story["points_per_level"]),
            nearest=story["nearest"],
            **common,
        )

    def sample(self, story: Mapping[str, Any]) -> OutputSample:
        """The sample of a call's output."""
        values, outputs = self.kept(story["values"]), self.kept(story["outputs"])
        return OutputSample(tuple(story["heads"]), tuple(story["rows"]), values, outputs)

    def backward(self, story: Mapping[str, Any]) -> Backward:
        """What the gradient of a call is computed from."""
        values, gradient = story["values"], story["output_gradient"]
        return Backward(
            None if values is None else self.kept(values),
            None if gradient is None else self.kept(gradient),
            story["missing"],
        )

    def scores(self, story: Mapping[str, Any]) -> Scores:
        """The program of a call."""
        return Scores(
            self.kept(story["q"]),
            self.kept(story["k"]),
            tuple(self.step(*step) for step in story["steps"]),
            _autocast(story["autocast"]),
            story["fused"],
            story.get("q_factor", 1),
        )

    def step(
        self, op: Any, row_axis: int, operands: list[Any], options: dict[str, Any], key_axis: int
    ) -> Step:
        """One step, if its operation is one of ours."""
        if op not in get_args(Op) or op == "flex":
            raise FormatError(f"unknown step {op!r}")
        if options.get("dtype") is not None:
            _dtype(options["dtype"])
        kept = tuple(self.operand(value) for value in operands)
        return Step(op, row_axis, kept, options, key_axis)

    def operand(self, value: Any) -> Any:
        """A tensor, its recipe, or a number."""
        if isinstance(value, dict) and "recipe" in value:
            return self.recipe(value["recipe"])
        if isinstance(value, dict):
            return float(value["float"]) if "float" in value else self.kept(value)
        return value

    def recipe(self, story: Mapping[str, Any]) -> Recipe:
        """A recipe, if its operation is one of ours."""
        if story["op"] not in get_args(RecipeOp):
            raise FormatError(f"unknown operation {story['op']!r} in a recipe")
        options = story["options"]
        if "dtype" in options:
            _dtype(options["dtype"])
        state = None if story["autocast"] is None else _autocast(story["autocast"])
        inputs = tuple(self.operand(x) for x in story["inputs"])
        shape, dtype = tuple(story["shape"]), _dtype(story["dtype"])
        return Recipe(story["op"], inputs, shape, dtype, options, state)

    def kept(self, reference: Mapping[str, Any]) -> Kept:
        """A tensor as the call had it."""
        name, shape = reference["tensor"], reference["shape"]
        tensor = self._tensors[name].reshape(reference.get("view", self._tensors[name].shape))
        ends = [axis for axis in (-2, -1) if tensor.dim() > 1 and shape[axis] < tensor.shape[axis]]
        if not ends:
            return Kept(tensor.expand(shape))
        (axis,) = ends
        kept = Kept(tensor.narrow(axis, 0, shape[axis]).expand(shape))
        whole = list(shape)
        whole[axis] = tensor.shape[axis]
        kept.lean_on(self._whole(name, tensor.expand(whole)))
        return kept

    def _whole(self, name: str, tensor: Tensor) -> Kept:
        if name not in self._wholes:
            self._wholes[name] = Kept(tensor)
        return self._wholes[name]


def _autocast(story: list[Any]) -> Autocast:
    device, name, enabled = story
    return Autocast(device, _dtype(name), enabled)


def _dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise FormatError(f"unknown dtype {name!r}")
    return dtype
