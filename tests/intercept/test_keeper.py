"""Kept tensors stay what they were, whatever is written to their memory afterwards."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import regard
from recorded import only, random
from regard.attention import DotProductAttention
from regard.errors import StaleRecord
from regard.intercept.keeper import Keeper, writer
from regard.kept import storage_key

sdpa = F.scaled_dot_product_attention


def relu_inplace(q: Tensor) -> None:
    F.relu(q, inplace=True)


def relu_positional(q: Tensor) -> None:
    F.relu(q, True)


def iadd(q: Tensor) -> None:
    q += 1


def set_item(q: Tensor) -> None:
    q[..., 0] = 5


def out(q: Tensor) -> None:
    torch.add(q, 1, out=q)


def through_a_view(q: Tensor) -> None:
    q[:, :, 1:].transpose(1, 2).mul_(3)


def through_data(q: Tensor) -> None:
    q.data.fill_(2)


def op(q: Tensor) -> None:
    torch.ops.aten.add_.Tensor(q, q)


def foreach(q: Tensor) -> None:
    torch._foreach_mul_([q, torch.ones(2)], 2.0)


def module(q: Tensor) -> None:
    nn.ReLU(inplace=True)(q)


WRITES = [
    *(Tensor.zero_, relu_inplace, relu_positional, iadd, set_item, out, through_a_view),
    *(through_data, op, foreach, module),
]


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_write_during_the_recording_copies_first(
    write: Callable[[Tensor], Any], mode: Callable[[], Any]
) -> None:
    with mode():
        q, k = random(1, 2, 5, 8), random(1, 2, 7, 8, seed=1)
        expected = (q @ k.transpose(-1, -2) / 8**0.5).softmax(-1)
        before = q.clone()
        with regard.record(nn.Module(), keep="qk") as recording:
            sdpa(q, k, k)
            write(q)
        assert not torch.equal(q, before)
        torch.testing.assert_close(only(recording).weights(), expected, rtol=0, atol=1e-6)


def test_a_write_after_the_recording_is_refused() -> None:
    q, k = random(1, 2, 5, 8), random(1, 2, 7, 8, seed=1)
    with regard.record(nn.Module(), keep="qk") as recording:
        sdpa(q, k, k)
    q.add_(1)
    with pytest.raises(StaleRecord, match=r"\(1, 2, 5, 8\) was overwritten .* recording.save"):
        only(recording).weights()


def test_a_static_cache_that_is_written_every_step() -> None:
    class Decoder(nn.Module):
        cache: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("cache", torch.zeros(1, 2, 4, 8))

        def forward(self, q: Tensor, step: int) -> Tensor:
            self.cache.index_copy_(2, torch.tensor([step]), q)
            mask = (torch.arange(4) <= step)[None, None, None]
            return sdpa(q, self.cache, self.cache, attn_mask=mask)

    model, expected = Decoder(), []
    with torch.no_grad(), regard.record(model, keep="qk") as recording:
        for step in range(4):
            q = random(1, 2, 1, 8, seed=step)
            model(q, step)
            seen = (q @ model.cache[:, :, : step + 1].transpose(-1, -2) / 8**0.5).softmax(-1)
            expected.append(F.pad(seen, (0, 3 - step)))
    assert [call.axes["forward"] for call in recording] == [0, 1, 2, 3]
    for call, weights in zip(recording, expected, strict=True):
        torch.testing.assert_close(call.weights(), weights, rtol=0, atol=1e-6)


class Shared(nn.Module):
    """Two layers under one mask."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        mask = self.mask if mask is None else mask
        return sdpa(x, sdpa(x, x, x, attn_mask=mask), x, attn_mask=mask)


def test_a_shared_mask_is_kept_once() -> None:
    mask, x = random(64, 64), random(1, 1, 64, 4)
    model = Shared(mask.clone())
    for argument in (mask, None):
        with regard.record(model, keep="qk") as recording:
            model(x, argument)
        masks = {
            kept.storage_key
            for call in recording
            for kept in call.kept
            if tuple(kept.shape) == (64, 64)
        }
        assert len(masks) == 1
        assert recording.nbytes == mask.nbytes + x.nbytes * 2, "x, the mask, and one new key"


def test_a_mask_that_is_a_buffer_is_a_copy() -> None:
    model, x = Shared(torch.ones(8, 8).tril().log()), random(1, 1, 8, 4)
    with torch.no_grad(), regard.record(model, keep="qk") as recording:
        model(x)
        model.mask.zero_()
        model(x)
    assert [bool(call.blocked().any()) for call in recording] == [True, True, False, False]
    model.mask.fill_(-torch.inf)
    assert not recording[2].blocked().any(), "still what it was"


def test_a_mask_changed_between_layers() -> None:
    def run(x: Tensor, mask: Tensor) -> None:
        sdpa(x, x, x, attn_mask=mask)
        mask.logical_not_()
        sdpa(x, x, x, attn_mask=mask)

    x, mask = random(1, 1, 4, 8), torch.eye(4, dtype=torch.bool)
    with regard.record(nn.Module(), keep="qk") as recording:
        run(x, mask)
    assert torch.equal(recording[0].blocked()[0, 0], ~torch.eye(4, dtype=torch.bool))
    assert torch.equal(recording[1].blocked()[0, 0], torch.eye(4, dtype=torch.bool))


def test_what_comes_to_lie_where_a_parameter_was_is_not_the_models() -> None:
    """Parameters of offloaded models come and go while the model runs."""
    model = nn.Linear(8, 8, bias=False)
    keeper = Keeper([model])
    assert keeper.is_owned(model.weight[2:])
    key = storage_key(model.weight)
    model.weight = nn.Parameter(torch.ones(8, 8))
    tensor = next(t for t in (torch.zeros(8, 8) for _ in range(1000)) if storage_key(t) == key)
    assert not keeper.is_owned(tensor)
    assert keeper.keep(tensor).get().data_ptr() == tensor.data_ptr()


def test_q_and_k_do_not_keep_a_fused_projection_alive() -> None:
    """q, k and v are views of one tensor; a third of it would be kept for nothing."""
    q, k, v = random(1, 2, 16, 24).chunk(3, -1)
    with regard.record(nn.Module(), keep="qk") as recording:
        sdpa(q, k, v)
        sdpa(q[..., :1, :2], k[..., :2], v)
    for call in recording:
        assert isinstance(call, DotProductAttention)
        assert call.scores.q.storage_nbytes == call.scores.q.nbytes
        assert call.scores.k.storage_nbytes == call.scores.k.nbytes


def test_q_and_k_of_a_projection_of_their_own_are_not_copied() -> None:
    q, k = random(1, 2, 16, 16).chunk(2, -1)
    with regard.record(nn.Module(), keep="qk") as recording:
        sdpa(q, k, k)
    call = recording[0]
    assert isinstance(call, DotProductAttention)
    assert call.scores.q.get().data_ptr() == q.data_ptr()


@pytest.mark.parametrize(
    "function",
    [
        *[torch.add, F.softmax, Tensor.__getitem__, torch.matmul, Tensor.__invert__],
        Tensor.__pow__,  # a Python cover of a built-in method, which has no signature
    ],
)
def test_functions_that_never_write(function: Callable[..., Any]) -> None:
    assert writer(function) is None


def test_inplace_that_is_off_writes_nothing() -> None:
    written = writer(F.relu)
    assert written is not None
    x = random(2)
    assert written((x,), {}) == []
    assert written((x,), {"inplace": False}) == []
    assert written((x, True), {}) == [x]


def test_parameters_are_copied_at_once() -> None:
    model = nn.Linear(4, 4)
    keeper = Keeper(model.modules())
    kept = keeper.keep(model.weight)
    assert kept.storage_key != model.weight.untyped_storage()._cdata
    assert keeper.keep(model.weight) is kept
    with torch.no_grad():
        model.weight.add_(1)
    assert keeper.keep(model.weight) is not kept
