"""Weights that meet no values are recorded where the model wants them, and only there."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import regard
from recorded import only, random
from regard.attention import DotProductAttention
from regard.errors import CaptureError, NothingRecorded
from regard.intercept.recorder import Keep
from regard.intercept.trace import JOINT
from regard.intercept.valueless import NOTE

ROUNDING = 1e-6
Q, K, V = random(2, 3, 5, 8), random(2, 3, 12, 8, seed=1), random(2, 3, 12, 4, seed=2)


class MapAttention(nn.Module):
    """Weights over rows and columns, as of DETR's mask head.

    Source: Carion et al. 2020, section 4.2.
    """

    def forward(self, q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
        scores = (q @ k.mT * 0.3).view(2, 3, 5, 3, 4).transpose(1, 2)
        scores = scores.masked_fill(mask, -torch.inf)
        return F.softmax(scores.flatten(2), dim=-1).view(scores.shape)


class Head(nn.Module):
    """Uses what an attention module hands on."""

    def __init__(self, attention: nn.Module, use: Callable[..., Tensor]) -> None:
        super().__init__()
        self.attention, self.use = attention, use

    def forward(self, *args: Tensor) -> Tensor:
        return self.use(self.attention(*args))


class ScoreAttention(nn.Module):
    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        return (q @ k.mT).softmax(-1)


class DeadAttention(nn.Module):
    """Takes a softmax and throws it away, as SAM 2 does in transformers: it lives to the end."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Identity()

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        dead = (q @ k.mT).softmax(-1).to(q.dtype)  # noqa: F841
        projected: Tensor = self.proj(F.scaled_dot_product_attention(q, k, v))
        return projected


@pytest.mark.parametrize("keep", ["qk", "weights"])
def test_a_map_over_heads_and_pixels_together(keep: Keep) -> None:
    mask = torch.zeros(2, 1, 1, 3, 4, dtype=torch.bool)
    mask[0, ..., 3] = True
    model = Head(MapAttention(), lambda weights: weights.square())
    with regard.record(model, keep=keep) as recording:
        model(Q, K, mask)
    call = only(recording)
    expected = MapAttention()(Q, K, mask).transpose(1, 2).flatten(3)
    assert (call.layer, call.shape) == ("attention", (2, 3, 5, 12))
    assert call.notes == (JOINT, NOTE)
    torch.testing.assert_close(call.weights(), expected, rtol=0, atol=ROUNDING)
    part = call.weights([4, 0], [2])
    torch.testing.assert_close(part, expected[:, [2]][:, :, [4, 0]], rtol=0, atol=ROUNDING)
    assert recording.verify()[0].error is None
    assert recording.unrecorded == []
    if keep == "qk":
        assert isinstance(call, DotProductAttention)
        assert torch.equal(call.blocked(0, 0)[0, 0, 0], mask[0].flatten())


def test_weights_that_a_module_hands_to_another_are_no_second_call() -> None:
    model = Head(ScoreAttention(), lambda weights: weights @ V)
    with regard.record(model) as recording:
        model(Q, K)
    call = only(recording)
    assert call.notes == ()
    assert recording.verify()[0].error == pytest.approx(0, abs=5e-6)


def test_every_pass_records_its_own() -> None:
    model = Head(ScoreAttention(), lambda weights: weights.sum(-1))
    with regard.record(model) as recording:
        model(Q, K)
        model(Q, K)
    assert [call.axes["forward"] for call in recording] == [0, 1]
    with pytest.raises(NothingRecorded, match="none in layers='use'"), regard.record(model, "use"):
        model(Q, K)


def test_there_is_no_gradient_without_values() -> None:
    model = Head(ScoreAttention(), lambda weights: weights.sum(-1))
    with regard.record(model, gradients=True) as recording:
        model(Q, K)
    with pytest.raises(CaptureError, match="no values met its weights"):
        only(recording).gradient()


def test_dead_code_is_no_attention() -> None:
    model = DeadAttention()
    with regard.record(model) as recording:
        model(Q, K, V)
    assert only(recording).notes == ()
    assert [item.reason for item in recording.unrecorded] == [
        "a softmax over q·k was taken, and its weights never met any values"
    ]


def test_matches_in_a_module_of_another_name_are_no_attention() -> None:
    class Matcher(ScoreAttention):
        pass

    Matcher.__name__ = "Matcher"
    with pytest.raises(NothingRecorded), regard.record(model := Matcher()):
        model(Q, K)


def test_a_failing_model_leaves_nothing_waiting() -> None:
    def fail(weights: Tensor) -> Tensor:
        raise ValueError("of the model")

    model = Head(ScoreAttention(), fail)
    with pytest.raises(ValueError, match="of the model"), regard.record(model):
        model(Q, K)
