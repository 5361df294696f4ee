"""What counts as left behind."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regard.zoo.residue import changes, state


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).eval()


def test_running_a_model_leaves_nothing() -> None:
    one = model()
    before = state(one)
    one(torch.ones(3, 2))
    assert changes(before, state(one)) == []


def write(m: nn.Sequential) -> None:
    with torch.no_grad():
        next(m.parameters()).add_(1)


LEFT: dict[str, tuple[Callable[[nn.Sequential], object], str]] = {
    "hook": (lambda m: m[0].register_forward_hook(print), "0"),
    "pre-hook": (lambda m: m[0].register_forward_pre_hook(print), "0"),
    "attribute": (lambda m: setattr(m[1], "seen", 1), "1"),
    "method": (lambda m: setattr(m, "forward", print), ""),
    "mode": (lambda m: m.train(), ""),
    "written parameter": (write, "0.weight itself"),
    "other parameter": (lambda m: setattr(m[0], "bias", nn.Parameter(torch.ones(2))), "0.bias"),
    "other class": (lambda m: setattr(m[0], "__class__", nn.Identity), "0"),
}


@pytest.mark.parametrize("name", LEFT)
def test_changes_of_a_model_are_named(name: str) -> None:
    change, path = LEFT[name]
    one = model()
    before = state(one)
    change(one)
    assert changes(before, state(one))[0].startswith(path)


GLOBAL: dict[str, Callable[[pytest.MonkeyPatch], object]] = {
    "function": lambda patch: patch.setattr(F, "softmax", partial(F.softmax)),
    "hook": lambda patch: patch.setitem(
        torch.nn.modules.module._global_forward_hooks,
        0,
        print,
    ),
}


@pytest.mark.parametrize("name", GLOBAL)
def test_changes_of_torch_are_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = model()
    before = state(one)
    GLOBAL[name](monkeypatch)
    assert changes(before, state(one)) == ["torch"]


def test_an_open_mode_and_a_stance_are_named() -> None:
    one = model()
    before = state(one)
    with torch.overrides.BaseTorchFunctionMode():
        assert changes(before, state(one)) == ["torch"]
    with torch.compiler.set_stance("force_eager"):
        assert changes(before, state(one)) == ["torch"]
    with torch.enable_grad():
        assert changes(before, state(one)) == []
    with torch.no_grad():
        assert changes(before, state(one)) == ["torch"]
