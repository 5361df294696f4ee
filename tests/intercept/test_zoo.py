"""What can be done with the recordings of models in which every way of computing occurs.

That every model of the zoo is recorded whole and exactly is for tests/zoo.
"""

import math
from functools import cache
from operator import attrgetter
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import regard
from regard import Attention, Recording
from regard.attention import DotProductAttention
from regard.intercept.recorder import Keep
from regard.intercept.trace import JOINT
from regard.zoo import named
from regard.zoo.entry import Made, lively, run

EXACT = 5e-6
"""W·V is summed in another order than in the model's kernel; values are of order 1."""

SAME = 1e-6
"""The kept weights of a softmax and the same softmax of a part of its rows: float32 rounding."""

FEW_ROWS = 1e-5
"""Relative. A product of a few rows adds up in another order; large scores show it."""

NAMES = (
    *("vit", "vit eager", "beit", "dinov3_vit", "siglip", "swin", "swinv2", "segformer", "pvt"),
    *("cvt", "levit", "mobilevit", "detr", "conditional_detr", "mask2former", "maskformer"),
    *("sam", "sam eager", "vitdet", "blip", "vilt", "groupvit", "timesformer divided", "yolos"),
    *("grounding_dino", "perceiver", "bridgetower", "qwen2_5_vl", "sd3", "cross matcher"),
    *("talking heads", "gated mixture", "attention sinks", "nn.TransformerDecoder"),
)

ATTENTIONS = {
    **dict.fromkeys(("vit", "deit", "beit", "dinov2", "dinov3_vit", "segformer"), ("attentions",)),
    **dict.fromkeys(("pvt", "vilt", "videomae", "yolos"), ("attentions",)),
    **dict.fromkeys(
        ("clip", "siglip", "owlvit"),
        ("text_model_output.attentions", "vision_model_output.attentions"),
    ),
    **dict.fromkeys(
        ("detr", "detr segmentation", "conditional_detr"),
        ("encoder_attentions", "decoder_attentions", "cross_attentions"),
    ),
}
"""Attributes of the output in which an eager model returns its weights, where they are right."""


@cache
def built(name: str) -> Made:
    return named(name).build()


@cache
def recorded(name: str, keep: Keep) -> Recording:
    model, inputs = built(name)
    with regard.record(model, keep=keep) as recording:
        run(model, inputs)
    return recording


every_name = pytest.mark.parametrize("name", NAMES)


@every_name
@pytest.mark.parametrize("keep", ["qk", "weights", "auto"])
def test_weights_give_the_output_of_the_model(name: str, keep: Keep) -> None:
    checks = recorded(name, keep).verify()
    assert max(check.error for check in checks if check.error is not None) <= EXACT


@every_name
def test_the_program_gives_the_weights_that_the_model_used(name: str) -> None:
    programs, used = recorded(name, "qk"), recorded(name, "weights")
    assert [call.layer for call in programs] == [call.layer for call in used]
    for a, b in zip(programs, used, strict=True):
        assert a.shape == b.shape == tuple(a.weights().shape)
        torch.testing.assert_close(a.weights(), b.weights(), rtol=0, atol=SAME)
        assert torch.equal(a.fully_masked(), b.fully_masked())


@every_name
def test_all_rows_and_heads_by_index_are_the_whole_bit_by_bit(name: str) -> None:
    for call in recorded(name, "qk"):
        by_index = call.weights(range(call.shape[2]), slice(None))
        assert torch.equal(by_index, call.weights())


@every_name
def test_some_rows_and_heads_are_cut_from_all(name: str) -> None:
    for call in recorded(name, "qk"):
        rows = [0, call.shape[2] // 2, -1]
        heads = [call.shape[1] - 1, 0]
        whole = call.weights()[:, heads][:, :, rows]
        torch.testing.assert_close(call.weights(rows, heads), whole, rtol=FEW_ROWS, atol=SAME)
        if isinstance(call, DotProductAttention):
            free = call.weights(masked=False)[:, heads][:, :, rows]
            torch.testing.assert_close(
                call.weights(rows, heads, masked=False), free, rtol=FEW_ROWS, atol=SAME
            )
            assert torch.equal(call.blocked(rows, heads), call.blocked()[:, heads][:, :, rows])


@every_name
def test_unmasked_weights_agree_where_the_mask_is_open(name: str) -> None:
    for call in recorded(name, "qk"):
        if (
            not isinstance(call, DotProductAttention)
            or name == "talking heads"
            or JOINT in call.notes
        ):
            continue  # without a program, or with rows that do not sum to 1
        free = call.weights(masked=False) * ~call.blocked()
        free = free / free.sum(-1, keepdim=True).clamp_min(1e-30)
        kept = ~call.fully_masked()
        torch.testing.assert_close(free[kept], call.weights()[kept], rtol=0, atol=SAME)


@every_name
def test_files_keep_every_bit(name: str, tmp_path: Path) -> None:
    recording = recorded(name, "auto")
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


@pytest.mark.parametrize("name", ATTENTIONS)
def test_records_equal_what_an_eager_model_returns(name: str) -> None:
    model, inputs = named(name).build()
    model.set_attn_implementation("eager")  # type: ignore[operator]
    assert isinstance(inputs, dict)
    with regard.record(model, keep="qk") as recording:
        output = run(model, inputs | {"output_attentions": True})
    returned = [tensor for place in ATTENTIONS[name] for tensor in attrgetter(place)(output)]
    assert returned
    fused = list(recorded(name, "qk"))
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
    for name in NAMES:
        peaks = [float((c.weights() - 1 / c.shape[3]).max()) for c in recorded(name, "qk")]
        assert max(peaks) > 0.25, name


def test_a_fused_encoder_differs_by_rounding_alone() -> None:
    """The one named exception: a mode makes torch leave its fused kernel for whole layers."""
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    model = lively(nn.TransformerEncoder(layer, 2))
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
    model, inputs = named("blip").build()
    assert isinstance(inputs, dict)
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
