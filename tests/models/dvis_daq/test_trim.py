"""What of tracker and refiner is kept, and when the rest goes."""

import gc
import weakref
from contextlib import closing

import pytest
import torch

from dvis_reference import OFFLINE, Reference
from regard.attention import Attention
from regard.geometry import ViewTransform
from regard.models.dvis_daq import living_rows
from regard.models.dvis_daq.observe import Watcher
from regard.models.dvis_daq.record_video import record_video
from regard.models.dvis_daq.tracks import TrackedFrame

VIEW = ViewTransform.identity((120, 152)).pad(bottom=8, right=8)


def test_the_trackers_calls_go_while_the_run_goes_on(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only rows of living tracks stay: a long video does not hold every query of every frame.

    Here the calls of two frames are worked on at once.
    """
    seen: list[weakref.ref[Attention]] = []
    left_over: list[bool] = []
    tracked = Watcher.tracked

    def watch(self: Watcher, frame: TrackedFrame) -> None:
        gc.collect()
        left_over.append(any(call() is not None for call in seen))
        seen.extend(weakref.ref(call) for call in self._of_frame)
        assert self._of_frame, "the tracker was recorded"
        tracked(self, frame)

    monkeypatch.setattr(living_rows, "_AT_ONCE", 2)
    monkeypatch.setattr(Watcher, "tracked", watch)
    with closing(record_video(reference.model(), reference.frames[:4], OFFLINE, VIEW)):
        assert left_over == [False, True, False, True]


def test_rows_that_were_kept_are_the_calls_own(reference: Reference) -> None:
    model, frames = reference.model(), reference.frames[:3]
    with (
        closing(record_video(model, frames, OFFLINE, VIEW)) as trimmed,
        closing(record_video(model, frames, OFFLINE, VIEW, keep="all")) as whole,
    ):
        checked = 0
        for call in trimmed.recording.find("tracker.*cross_attention_layers*"):
            (other,) = whole.recording.find(call.layer, frame=call.axes["frame"])
            rows = [other.queries.prefix.index(name) for name in call.queries.prefix]
            assert torch.equal(call.weights(), other.weights(rows))
            checked += 1
        assert checked > 20
