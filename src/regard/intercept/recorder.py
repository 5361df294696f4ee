"""Where every mechanism hands in what it caught, and what of it is kept."""

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from torch import Tensor

from regard.attention import Attention, DotProductAttention, ExplicitAttention
from regard.backward import Backward
from regard.intercept.channels import CHANNELS, are_channels
from regard.intercept.gradients import DROPOUT, NOT_FOLLOWED, watch
from regard.intercept.growth import Growth
from regard.intercept.keeper import Keeper, distinct
from regard.intercept.recipes import Recipes
from regard.intercept.stack import Frame, ModuleStack
from regard.intercept.stitcher import Extent, Group
from regard.kept import Kept
from regard.recording import Recording, matches_any
from regard.sample import OutputSample
from regard.scores import Scores
from regard.tokens.channels import ChannelTokens

NOTHING_TO_WEIGH = "it attended to nothing, so there are no weights"

T = TypeVar("T")
Keep = Literal["auto", "qk", "weights"]
Shape = tuple[int, int, int, int]


class _Thread(threading.local):
    """What recordings of one thread share: one of them must not record what another computes."""

    is_computing = False


_thread = _Thread()


@dataclass(eq=False)
class Recorder:
    """The open recording, and what mechanisms need to add to it.

    Attributes:
        recording: Where the calls go.
        stack: The running modules.
        keeper: Keeps tensors.
        recipes: Knows how large tensors are made of small ones, and keeps these.
        patterns: Globs of the layers that are wanted.
        sampled: Globs of the layers of whose outputs a sample is kept.
        keep: What to keep of a call.
        only_kernels: Whether nothing but kernels is watched.
        gradients: Whether to keep also what the gradients of the weights are computed from.
        each: Asked about every call whether to keep it; None keeps all.
        failure: The first error that `each` raised.
        missed: (path, reason) of what looked like attention and could not be recorded.
        found: Paths in which attention was found, wanted or not.
        seen: How often attention was found.
    """

    recording: Recording
    stack: ModuleStack
    keeper: Keeper
    patterns: tuple[str, ...]
    sampled: tuple[str, ...]
    keep: Keep
    only_kernels: bool = False
    gradients: bool = False
    each: Callable[[Attention], bool | None] | None = None
    failure: Exception | None = None
    missed: list[tuple[str, str]] = field(default_factory=list)
    found: set[str] = field(default_factory=set)
    seen: int = 0
    growth: Growth = field(default_factory=Growth)
    recipes: Recipes = field(init=False)
    _paid: set[int] = field(default_factory=set)
    _wanted: dict[str, bool] = field(default_factory=dict)
    _checked: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stack.on_leaving = self.close
        self.recipes = Recipes(self.keeper)

    @property
    def is_paused(self) -> bool:
        """Whether a recording of this thread computes something itself: no call is the model's."""
        return _thread.is_computing

    def wants(self) -> bool:
        """Whether the running module, in which attention was just found, is asked for."""
        self.seen += 1
        if self.stack.is_in_a_stranger():
            return False
        path = self.stack.top.path
        self.found.add(path)
        return self.asks_for(path)

    def asks_for(self, path: str) -> bool:
        """Whether a layer is wanted."""
        if path not in self._wanted:
            self._wanted[path] = matches_any(path, self.patterns)
        return self._wanted[path]

    def needs_values(self) -> bool:
        """Whether values and outputs of the running module's attention matter at all."""
        return self.gradients or self._is_checked()

    def sample(self, values: Tensor, outputs: Tensor) -> OutputSample | None:
        """What the running module's record is checked by, if it is to be; see `OutputSample.of`."""
        return OutputSample.of(values, outputs) if self._is_checked() else None

    def _is_checked(self) -> bool:
        path = self.stack.top.path
        if path not in self._checked:
            self._checked[path] = matches_any(path, self.sampled)
        return self._checked[path]

    def guard(self, function: Callable[..., T], *args: Any) -> T | None:
        """The function's result; a failure in it is noted and does not reach the model."""
        before, _thread.is_computing = _thread.is_computing, True
        try:
            return function(*args)
        except Exception as error:
            self.miss(f"regard failed to follow it ({type(error).__name__}: {error})")
            return None
        finally:
            _thread.is_computing = before

    def add(
        self,
        *,
        shape: Shape,
        scores: Scores | None,
        weights: Callable[[], Tensor] | None,
        sample: OutputSample | None,
        notes: tuple[str, ...] = (),
        backward: Backward | None = None,
    ) -> Attention | None:
        """Record one call of the running module, and give it; None if it has no weights at all.

        Args:
            shape: (batch, heads, queries, keys).
            scores: The program for its weights; None where there is none.
            weights: Gives the weights as the model used them; None where only the program can.
            sample: To check the record by.
            notes: What a reader of the record must know.
            backward: V, and the gradient of the output to come.
        """
        if 0 in shape:
            self.miss(f"{NOTHING_TO_WEIGH}: {shape[2]} queries, {shape[3]} keys")
            return None
        channels = scores is not None and are_channels(self.stack.top, shape, scores.q)
        notes = (*notes, CHANNELS) if channels else notes
        call: Attention
        frame = self.stack.top
        grows = self.growth.follow((frame.path, frame.made), scores, sample)
        place = None if scores is None else (Extent.of(scores.q), Extent.of(scores.k))
        needed = [] if scores is None else scores.kept
        if scores is not None and self._program_is_kept(scores, needed, shape, grows):
            self.keeper.settle(needed)
            if self.keep == "auto":
                self._paid.update(kept.storage_key for kept in needed)
            call = DotProductAttention(shape=shape, scores=scores, notes=notes, sample=sample)
        else:
            call = self._explicit(shape, scores, weights, sample, notes)
        call.backward = backward
        if channels:
            call.queries, call.keys = ChannelTokens(shape[2]), ChannelTokens(shape[3])
        self.append(call, place)
        return call

    def append(self, call: Attention, place: tuple[Extent, Extent] | None = None) -> None:
        """Add a call of the running module, which is made already.

        Args:
            call: The call.
            place: Where its q and k lie in memory, if it may be a piece of a larger one.
        """
        frame = self.stack.top
        if self.gradients and call.backward is None:
            call.backward = Backward(None, missing=NOT_FOLLOWED)
        call.layer = frame.path
        call.axes = {
            "forward": max(0, self.stack.forward),
            "step": frame.step,
            "call": frame.calls,
        }
        frame.made += 1
        self._join(frame, call, place)

    def _join(self, frame: Frame, call: Attention, place: tuple[Extent, Extent] | None) -> None:
        """Add the call to those that it continues, or let it wait for those that continue it."""
        for outer in self.stack.around:
            if outer.group is not None:
                self.close(outer)  # calls stay in the order in which they were made
        if frame.group is not None and place is not None and frame.group.takes(call, *place):
            return
        if frame.group is not None:
            self.close(frame)
        call.axes["call"] = frame.calls
        if place is None or frame.has_left or not self.stack.is_running:
            self._hand_in(frame, call)
        else:
            frame.group = Group(*place, self.stack.head_count(), [call])

    def close(self, frame: Frame) -> None:
        """Hand in the call that waits in a frame."""
        group, frame.group = frame.group, None
        if group is not None:
            self._hand_in(frame, group.stitched())

    def _hand_in(self, frame: Frame, call: Attention) -> None:
        frame.calls += 1
        if self._is_kept(call):
            self.recording.append(call)

    def _is_kept(self, call: Attention) -> bool:
        """What `each` says; its errors must not reach the model, and end the recording later."""
        if self.each is None:
            return True
        before, _thread.is_computing = _thread.is_computing, True
        try:
            return bool(self.failure is None and self.each(call))
        except Exception as error:
            self.failure = error
            return False
        finally:
            _thread.is_computing = before

    def watch(
        self, values: Tensor, out: Tensor, arrange: Callable[[Tensor], Tensor], *, dropout: bool
    ) -> Backward | None:
        """V and the gradient that will come to an output; None if gradients are not wanted."""
        if not self.gradients:
            return None
        return (
            Backward(None, missing=DROPOUT) if dropout else watch(self.keeper, values, out, arrange)
        )

    def miss(self, reason: str) -> None:
        """Say why the running module's attention has no record."""
        self.missed.append((self.stack.top.path, reason))

    def _program_is_kept(
        self, scores: Scores, needed: Sequence[Kept], shape: Shape, grows: bool
    ) -> bool:
        if self.keep != "auto":
            return self.keep == "qk"
        if grows:  # all its states will be kept as one
            return True
        new = [kept for kept in distinct(needed) if kept.storage_key not in self._paid]
        return sum(kept.nbytes for kept in new) < math.prod(shape) * scores.q.dtype.itemsize

    def _explicit(
        self,
        shape: Shape,
        scores: Scores | None,
        weights: Callable[[], Tensor] | None,
        sample: OutputSample | None,
        notes: tuple[str, ...],
    ) -> ExplicitAttention:
        program = None if scores is None else DotProductAttention(shape=shape, scores=scores)
        if weights is not None:
            used = weights().detach()
        else:
            assert program is not None
            used = program.weights()
        empty = _empty_rows(program, used)
        if empty is not None:
            used = used.masked_fill(empty[..., None], 0)
        return ExplicitAttention(
            shape=shape,
            kept_weights=self.keeper.keep(used),
            empty=None if empty is None else Kept(empty),
            may_block=program is None or program.scores.may_block,
            sample=sample,
            notes=notes,
        )


def _empty_rows(program: DotProductAttention | None, weights: Tensor) -> Tensor | None:
    """Fully masked rows, bool (batch, heads, queries); None if there is none."""
    if program is None:
        empty = weights.isnan().all(-1)
    elif program.scores.may_block:
        empty = program.fully_masked()
    else:
        return None
    return empty if empty.any() else None
