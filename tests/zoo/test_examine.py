"""Every architecture of the zoo is recorded as its entry says; the examination notices faults."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.sample import OutputSample
from regard.scores import Scores
from regard.zoo import ROOMS, named, room
from regard.zoo.entry import Entry
from regard.zoo.examine import EXACT, examine
from regard.zoo.inputs import normal

ENTRIES = [
    pytest.param(e, marks=[pytest.mark.slow] if e.slow else [], id=e.name)
    for name in ROOMS
    for e in room(name)
]


@pytest.mark.filterwarnings("ignore")  # of other libraries; they are not what is examined
@pytest.mark.parametrize("e", ENTRIES)
def test_an_architecture_is_recorded_as_its_entry_says(e: Entry) -> None:
    if e.missing:
        pytest.skip(e.missing)
    assert examine(e).problems(e) == []


class OneAttention(nn.Module):
    """Attention in which something goes wrong, in the second recorded pass where it can."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        values = torch.zeros_like(x) if self.fault == "vacuous" else x
        y = F.scaled_dot_product_attention(x, x, values)
        if self.fault == "unseen":
            with torch._C.DisableTorchFunction():
                y = F.scaled_dot_product_attention(y, y, y)
        if self.passes == 4 and self.fault == "output":
            y = y + 1e-6
        if self.passes == 4 and self.fault == "attribute":
            self.left = True
        if self.passes == 4 and self.fault == "hook":
            self.register_forward_hook(lambda *_: None)
        return y


def one(fault: str = "", **more: Any) -> Entry:
    make = lambda: (OneAttention(fault), (normal(1, 2, 5, 8),))  # noqa: E731
    return replace(Entry("one", "torch", make, "1 sdpa"), **more)


FAULTS = {
    "fewer calls than expected": (one(calls="2 sdpa", softmaxes=1), "recorded 1 sdpa, expected 2"),
    "another way": (one(calls="1 softmax"), "recorded 1 sdpa, expected 1 softmax"),
    "a softmax fewer": (one(softmaxes=2), "torch ran 1 softmaxes, 2 are accounted for"),
    "an unseen call": (one("unseen"), "torch ran 2 softmaxes, 1 are accounted for"),
    "another output": (one("output"), "outputs changed by 1.0e-06"),
    "an attribute": (one("attribute"), "recording left something in the model"),
    "a hook": (one("hook"), "recording left something in the model"),
    "nothing to see in the output": (one("vacuous"), "nothing is proven"),
    "a report too few": (one(unrecorded=(("x", "y"),)), "not recorded: nothing, expected"),
}


def test_an_entry_without_fault_has_no_problem() -> None:
    e = one()
    assert examine(e).problems(e) == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_the_one_problem(name: str) -> None:
    e, text = FAULTS[name]
    (problem,) = examine(e).problems(e)
    assert text in problem


def test_wrong_weights_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Scores.weights

    def wrong(self: Scores, *args: Any, **options: Any) -> Tensor:
        return right(self, *args, **options) * (1 + 1e-5)

    monkeypatch.setattr(Scores, "weights", wrong)
    e = one()
    (problem,) = examine(e).problems(e)
    assert "error 1" in problem
    assert "is above 2e-06" in problem


def test_a_call_without_a_sample_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OutputSample, "of", lambda *_: None)
    finding = examine(one())
    assert finding.error == math.inf


def test_what_a_table_says() -> None:
    finding = examine(named("sam2"))
    cells = finding.cells()
    assert cells["calls"] == "12 sdpa"
    assert cells["softmaxes"] == "17"
    assert float(cells["largest error"]) <= EXACT
    assert cells["not recorded"] == (
        "a softmax over q·k was taken, and its weights never met any values (5)"
    )
