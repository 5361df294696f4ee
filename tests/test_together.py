"""Weights of many calls at once are those of each."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import regard
from recorded import random
from regard import Recording
from regard.scores import Scores
from regard.together import moved_together, weights_together

X = random(2, 5, 16)


class Layers(nn.Module):
    """Attention of several kinds: alike, masked, of other sizes, written out, of grouped heads."""

    def forward(self, x: Tensor) -> None:
        q = x.reshape(2, 5, 4, 4).transpose(1, 2)
        mask = torch.ones(5, 5, dtype=torch.bool).tril()
        for scale in (1.0, 2.0, 3.0):
            F.scaled_dot_product_attention(q * scale, q, q)
        F.scaled_dot_product_attention(q, q, q, attn_mask=mask)
        F.scaled_dot_product_attention(q, q, q, attn_mask=~mask | torch.eye(5, dtype=torch.bool))
        F.scaled_dot_product_attention(q, q, q, is_causal=True)
        F.scaled_dot_product_attention(q * 4, q, q, scale=0.3)
        F.scaled_dot_product_attention(q, q[:, :2], q[:, :2], enable_gqa=True)
        F.scaled_dot_product_attention(q, q[:1], q[:1])
        F.scaled_dot_product_attention(q[0], q[0], q[0])
        F.scaled_dot_product_attention(q.double(), q.double(), q.double())
        (q @ q.transpose(-1, -2)).softmax(-1) @ q
        random(2, 4, 5, 5).softmax(-1) @ q


@pytest.fixture(scope="module")
def recording() -> Recording:
    model = Layers()
    with torch.no_grad(), regard.record(model, keep="qk") as recording:
        model(X)
    assert {call.kind for call in recording} == {"dot_product", "explicit"}
    assert len(recording) == 13
    return recording


@pytest.mark.parametrize("queries", [None, [3, 1], slice(2), 4])
def test_weights_are_those_of_each_call(
    recording: Recording, queries: list[int] | slice | int | None
) -> None:
    groups = weights_together(recording, queries)
    together = dict(each for group in groups for each in group.of_each())
    assert together.keys() == set(recording)
    for call, found in together.items():
        expected = call.weights(queries)
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_layers_that_are_alike_take_one_product(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[int] = []
    plain = Scores.weights

    def counted(self: Scores, *args: object, **kwargs: object) -> Tensor:
        run.append(self.q.shape[0])
        return plain(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Scores, "weights", counted)
    weights_together(recording[:3])
    assert run == [6], "three layers of two pictures"


def test_no_call_has_no_weights() -> None:
    assert weights_together([]) == []


def test_moved_tensors_are_copies_in_their_dtype() -> None:
    tensors = [random(2, 3), random(4, dtype=torch.bfloat16), random(2, 2)[:, :1], torch.zeros(0)]
    moved = moved_together(tensors)
    for found, tensor in zip(moved, tensors, strict=True):
        assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(found, tensor)
        assert found.data_ptr() != tensor.data_ptr() or not tensor.numel()
    assert moved[0].untyped_storage().data_ptr() == moved[2].untyped_storage().data_ptr()
    assert moved_together([]) == []
