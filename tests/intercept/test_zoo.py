"""Every model of the zoo is recorded whole, exactly and without a trace in its outputs."""

import math
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regard
import zoo
from regard import Attention, ExplicitAttention, Recording
from regard.attention import DotProductAttention
from regard.intercept.recorder import Keep
from regard.intercept.trace import JOINT
from regard.intercept.valueless import NOTE
from regard.kept import Kept

EXACT = 5e-6
"""W·V is summed in another order than in the model's kernel; values are of order 1."""

SAME = 1e-6
"""The kept weights of a softmax and the same softmax of a part of its rows: float32 rounding."""


@cache
def built(row: zoo.Row) -> zoo.Built:
    torch.manual_seed(0)
    model, inputs = row.build()
    return zoo.lively(model), inputs


def run(row: zoo.Row, **more: Any) -> Any:
    model, inputs = built(row)
    torch.manual_seed(0)  # ViLT draws the order of its patches
    with torch.no_grad():
        return model(**inputs, **more)


@cache
def recorded(row: zoo.Row, keep: Keep) -> tuple[Recording, list[Tensor]]:
    with regard.record(built(row)[0], keep=keep) as recording:
        output = run(row)
    return recording, zoo.tensors(output)


every_row = pytest.mark.parametrize("row", zoo.ROWS, ids=str)


@every_row
def test_recording_changes_no_output(row: zoo.Row) -> None:
    plain = zoo.tensors(run(row))
    assert plain
    for keep in ("qk", "weights", "auto"):
        outputs = recorded(row, keep)[1]
        assert len(outputs) == len(plain)
        assert all(torch.equal(a, b) for a, b in zip(plain, outputs, strict=True))


@every_row
def test_every_call_is_recorded(row: zoo.Row) -> None:
    recording, _ = recorded(row, "qk")
    explicit = [call for call in recording if call.kind == "explicit"]
    assert (len(recording), len(explicit)) == (row.calls, row.explicit)
    assert all(call.notes for call in explicit), "says why it has no program"
    assert {call.axes["forward"] for call in recording} == {0}


@every_row
def test_what_is_not_recorded_is_listed(row: zoo.Row) -> None:
    missing = recorded(row, "auto")[0].unrecorded
    assert len(missing) == len(row.unrecorded), missing
    for item, (end, reason) in zip(missing, row.unrecorded, strict=True):
        assert item.layer.endswith(end)
        assert reason in item.reason


@every_row
@pytest.mark.parametrize("keep", ["qk", "weights", "auto"])
def test_weights_give_the_output_of_the_model(row: zoo.Row, keep: Keep) -> None:
    recording = recorded(row, keep)[0]
    unsure = [call for call in recording if call.sample is None]
    assert len(unsure) == row.valueless
    assert all(NOTE in call.notes for call in unsure)
    checks = recording.verify()
    assert max(check.error for check in checks if check.error is not None) <= EXACT


@every_row
def test_the_check_notices_wrong_weights(row: zoo.Row) -> None:
    """Weights of a permuted key axis fail the check, so passing it means something."""
    errors = []
    for call in recorded(row, "weights")[0]:
        if call.sample is None:
            continue  # meets no values
        wrong = Kept(call.weights().roll(1, dims=-1))
        errors.append(call.sample.error(ExplicitAttention(shape=call.shape, kept_weights=wrong)))
    assert max(errors) > 100 * EXACT


@every_row
def test_the_program_gives_the_weights_that_the_model_used(row: zoo.Row) -> None:
    programs, used = recorded(row, "qk")[0], recorded(row, "weights")[0]
    assert [call.layer for call in programs] == [call.layer for call in used]
    for a, b in zip(programs, used, strict=True):
        assert a.shape == b.shape == tuple(a.weights().shape)
        torch.testing.assert_close(a.weights(), b.weights(), rtol=0, atol=SAME)
        assert torch.equal(a.fully_masked(), b.fully_masked())


@every_row
def test_some_rows_and_heads_are_cut_from_all(row: zoo.Row) -> None:
    for call in recorded(row, "qk")[0]:
        rows = [0, call.shape[2] // 2, -1]
        heads = [call.shape[1] - 1, 0]
        whole = call.weights()[:, heads][:, :, rows]
        torch.testing.assert_close(call.weights(rows, heads), whole, rtol=0, atol=SAME)
        if isinstance(call, DotProductAttention):
            free = call.weights(masked=False)[:, heads][:, :, rows]
            torch.testing.assert_close(
                call.weights(rows, heads, masked=False), free, rtol=0, atol=SAME
            )
            assert torch.equal(call.blocked(rows, heads), call.blocked()[:, heads][:, :, rows])


@every_row
def test_unmasked_weights_agree_where_the_mask_is_open(row: zoo.Row) -> None:
    for call in recorded(row, "qk")[0]:
        if (
            not isinstance(call, DotProductAttention)
            or row.name == "talking heads"
            or JOINT in call.notes
        ):
            continue  # without a program, or with rows that do not sum to 1
        free = call.weights(masked=False) * ~call.blocked()
        free = free / free.sum(-1, keepdim=True).clamp_min(1e-30)
        kept = ~call.fully_masked()
        torch.testing.assert_close(free[kept], call.weights()[kept], rtol=0, atol=SAME)


@every_row
def test_files_keep_every_bit(row: zoo.Row, tmp_path: Path) -> None:
    recording, _ = recorded(row, "auto")
    again = Recording.load(recording.save(tmp_path / "r.safetensors"))
    assert again.unrecorded == recording.unrecorded
    assert repr(again) == repr(recording)
    for a, b in zip(recording, again, strict=True):
        assert (a.kind, a.axes, a.notes) == (b.kind, b.axes, b.notes)
        for one, other in zip(a.kept, b.kept, strict=True):
            assert one.dtype == other.dtype
            assert torch.equal(one.get(), other.get())
        # a product may round otherwise when its operands lie otherwise in memory
        torch.testing.assert_close(a.weights(), b.weights(), rtol=0, atol=SAME)
        assert torch.equal(a.fully_masked(), b.fully_masked())
    assert max(check.error or 0 for check in again.verify()) <= EXACT


@pytest.mark.parametrize("row", [row for row in zoo.ROWS if row.attentions], ids=str)
def test_records_equal_what_an_eager_model_returns(row: zoo.Row) -> None:
    """Each row names only attributes that are right; several of transformers' are not."""
    torch.manual_seed(0)
    model, inputs = row.build()
    zoo.lively(model)
    model.set_attn_implementation("eager")  # type: ignore[operator]
    torch.manual_seed(0)
    with torch.no_grad(), regard.record(model, keep="qk") as recording:
        output = model(**inputs, output_attentions=True)
    returned = [tensor for name in row.attentions for tensor in attrgetter(name)(output)]
    assert returned
    fused = list(recorded(row, "qk")[0])
    for tensor in returned:
        same = [call for call in recording if _difference(call, tensor) <= SAME]
        assert len(same) == 1
        # layers before this one rounded otherwise than in the eager model
        assert min(_difference(call, tensor) for call in fused) <= EXACT


def _difference(call: Attention, returned: Tensor) -> float:
    if call.shape != tuple(returned.shape):
        return math.inf
    return float((call.weights() - returned).abs().max())


def test_models_of_the_zoo_look_at_something() -> None:
    """Near-uniform attention would let many a wrong answer pass the tests above."""
    for row in zoo.ROWS:
        peaks = [float((c.weights() - 1 / c.shape[3]).max()) for c in recorded(row, "qk")[0]]
        assert max(peaks) > 0.25, row.name


def test_a_fused_encoder_differs_by_rounding_alone() -> None:
    """The one named exception: a mode makes torch leave its fused kernel for whole layers."""
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    model = zoo.lively(nn.TransformerEncoder(layer, 2))
    x = torch.randn(2, 9, 32)
    with torch.no_grad():
        plain = model(x)
        with regard.record(model, keep="qk") as recording:
            output = model(x)
    # fused and step-by-step kernels round differently, values are of order 1
    torch.testing.assert_close(output, plain, rtol=0, atol=3e-6)
    assert len(recording) == 2
    assert max(check.error or 0 for check in recording.verify()) <= EXACT


def test_every_word_of_a_generated_caption_is_one_pass() -> None:
    """With a growing cache each step asks with one query and sees one more key."""
    torch.manual_seed(0)
    model, inputs = zoo.blip()
    zoo.lively(model)
    words = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}
    with torch.no_grad():
        plain = model.generate(inputs["pixel_values"], **words)  # type: ignore[operator]
        with regard.record(model, keep="qk") as recording:
            caption = model.generate(inputs["pixel_values"], **words)  # type: ignore[operator]
    assert torch.equal(caption, plain)
    assert max(check.error or 0 for check in recording.verify()) <= EXACT
    own = recording["text_decoder.bert.encoder.layer.0.attention.self"]
    cross = recording["text_decoder.bert.encoder.layer.0.crossattention.self"]
    first = own[0].shape[3]
    assert [call.shape[3] for call in own] == list(range(first, first + len(own)))
    assert {call.shape[2] for call in own[1:]} == {1}
    assert {call.shape[3] for call in cross} == {17}
    steps = [call.axes["forward"] for call in cross]
    assert steps == list(range(steps[0], steps[0] + len(steps)))
