"""Ten ways in which attention tools fail without a word, and what happens here instead.

Each was met in published tools; each test shows the right answer, or the error that says so.
"""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack

import regard
from recorded import FunctionAttention, only, random
from regard import GridTokens, ViewTransform
from regard.errors import GeometryError, NothingRecorded, SelectionError
from regard.zoo import named
from regard.zoo.entry import lively, of_transformers
from regard.zoo.inputs import pixels, tensors
from regard.zoo.sizes import VIT

ROUNDING = 1e-6


def vit(name: str = "ViT", **more: Any) -> tuple[Any, dict[str, Any]]:
    model, inputs = of_transformers("vit", pixels(), "", f"{name}Model", **VIT | more).build()
    assert isinstance(inputs, dict)
    return model, inputs


def test_1_a_fused_model_is_no_empty_result() -> None:
    """Hooks on softmax or dropout modules find nothing in fused models and return an empty dict."""
    model, inputs = vit()
    assert model.config._attn_implementation == "sdpa"
    with torch.no_grad(), regard.record(model, keep="qk") as recording:
        model(**inputs)
    eager, _ = vit(attn_implementation="eager")
    with torch.no_grad():
        expected = eager(**inputs, output_attentions=True).attentions
    for call, weights in zip(recording, expected, strict=True):
        # layers before the second rounded otherwise in the eager model
        torch.testing.assert_close(call.weights(), weights, rtol=0, atol=5e-6)


def test_1_the_native_multi_head_kernel_is_no_empty_result() -> None:
    """With an even head count, in evaluation, torch never calls softmax or a fused function."""
    model = lively(nn.MultiheadAttention(16, 4, batch_first=True))
    x = random(2, 5, 16)
    with torch.no_grad(), regard.record(model) as recording:
        model(x, x, x, need_weights=False)
    with torch.no_grad():
        _, expected = model(x, x, x, average_attn_weights=False)
    torch.testing.assert_close(only(recording).weights(), expected, rtol=0, atol=ROUNDING)


def test_2_no_other_method_stands_in() -> None:
    """Where there are no weights there is an error, never the map of something else."""

    class GatedAttention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x.mean(1, keepdim=True).sigmoid()

    model = GatedAttention()
    text = "GatedAttention ran and .*linear or gated attention"
    with pytest.raises(NothingRecorded, match=text), regard.record(model):
        model(random(1, 5, 8))


def test_3_attentions_that_a_fused_model_does_not_return_are_recorded() -> None:
    """Asked for attentions, a fused DETR of transformers returns empty tuples."""
    model, inputs = named("detr").build()
    assert isinstance(inputs, dict)
    with torch.no_grad(), regard.record(model) as recording:
        output = model(**inputs, output_attentions=True)
    returned = [*(output.cross_attentions or ()), *(output.encoder_attentions or ())]
    assert [weights for weights in returned if weights is not None] == []
    assert len(recording) == 5


def test_4_no_square_is_guessed() -> None:
    """A square root of the token count turns a 14 x 7 picture into a wrong one."""
    model, _ = vit(image_size=(112, 56), patch_size=8)
    with torch.no_grad(), regard.record(model) as recording:
        model(pixel_values=random(1, 3, 112, 56))
    call = recording[0]
    assert call.shape[3] == 1 + 14 * 7
    view = ViewTransform.identity((112, 56))
    assert GridTokens.from_stride(view, 8, prefix=("cls",)).count == call.shape[3]
    side = int(call.shape[3] ** 0.5)
    with pytest.raises(GeometryError, match="99 keys"):
        GridTokens(
            call.shape[3],
            grid_hw=(side, side),
            stride_px=(112 / side, 56 / side),
            view=view,
            prefix=("cls",),
        )


def test_4_registers_are_no_patches() -> None:
    model, inputs = vit("Dinov2WithRegisters")
    with torch.no_grad(), regard.record(model) as recording:
        model(**inputs)
    assert recording[0].shape[3] == 1 + 4 + 16


def test_4_windows_are_windows() -> None:
    """Swin's windows have no row of the whole picture; they come as a batch of windows."""
    model, inputs = named("swin").build()
    assert isinstance(inputs, dict)
    with torch.no_grad(), regard.record(model) as recording:
        model(**inputs)
    assert [call.shape for call in recording] == [
        (16, 2, 16, 16),
        (16, 2, 16, 16),
        (4, 4, 16, 16),
        (4, 4, 16, 16),
    ]


def test_5_rows_sum_to_one_not_columns() -> None:
    """What a query looks at and what looks at a key are two questions with two methods."""
    model, inputs = vit()
    with torch.no_grad(), regard.record(model, keep="qk") as recording:
        model(**inputs)
    call = recording[0]
    weights = call.weights().double()
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 4, 17).double(), rtol=0, atol=1e-6)
    received = call.received().double() * 17
    torch.testing.assert_close(received, weights.sum(2), rtol=0, atol=1e-5)
    assert float((received - 1).abs().max()) > 0.1, "columns do not sum to 1"


def test_6_attention_is_softmax_of_q_and_k_not_of_the_output() -> None:
    """A recipe in circulation calls output times valuesᵀ attention."""
    q, k, v = random(1, 2, 5, 8), random(1, 2, 5, 8, seed=1), random(1, 2, 5, 8, seed=2)
    model = FunctionAttention(F.scaled_dot_product_attention)
    with regard.record(model, keep="qk") as recording:
        output = model(q, k, v)
    true = (q @ k.mT / 8**0.5).softmax(-1)
    torch.testing.assert_close(only(recording).weights(), true, rtol=0, atol=ROUNDING)
    assert float((output @ v.mT - true).abs().max()) > 0.5
    assert recording.verify()[0].error == pytest.approx(0, abs=ROUNDING)


@pytest.mark.parametrize("training", [True, False])
def test_7_the_mode_of_the_model_is_not_touched(training: bool) -> None:
    """Capturing in training mode, with dropout on, shows another model than the user's."""
    model, inputs = vit(attention_probs_dropout_prob=0.5, hidden_dropout_prob=0.5)
    model.train(training)
    flags = [module.training for module in model.modules()]
    torch.manual_seed(1)
    plain = model(**inputs).last_hidden_state
    torch.manual_seed(1)
    with regard.record(model) as recording:
        output = model(**inputs).last_hidden_state
    assert torch.equal(output, plain)
    assert [module.training for module in model.modules()] == flags
    assert all(("dropout" in "".join(call.notes)) == training for call in recording)


def test_8_a_function_with_an_early_return_returns_what_it_returned() -> None:
    """Rewritten bytecode once gave such a function another result."""

    class EarlyAttention(nn.Module):
        def forward(self, x: Tensor) -> Any:
            y = F.scaled_dot_product_attention(x, x, x)
            if len(x) == 2:
                return y
            return y, "two"

    model = EarlyAttention()
    for x in (random(2, 3, 4), random(1, 3, 4)):
        plain = model(x)
        with regard.record(model):
            output = model(x)
        assert type(output) is type(plain)
        assert torch.equal(tensors(output)[0], tensors(plain)[0])


def test_9_and_10_the_environment_and_the_model_are_left_as_they_were() -> None:
    """Hooks that stay, a model left on another implementation, flags left on in its config."""
    model, inputs = vit()
    config = model.config.to_dict()
    functions = {name: id(value) for name, value in vars(F).items()}
    backends = torch.backends.mha.get_fastpath_enabled()
    for _ in range(2):
        with regard.record(model) as recording:
            model(**inputs)
        assert len(recording) == 2, "a second recording does not count twice"
    with pytest.raises(NothingRecorded), regard.record(model, "nothing"):
        model(**inputs)
    assert model.config.to_dict() == config
    assert {name: id(value) for name, value in vars(F).items()} == functions
    assert torch.backends.mha.get_fastpath_enabled() == backends
    assert _get_current_function_mode_stack() == []  # type: ignore[no-untyped-call]
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_a_layer_that_does_not_exist_is_no_empty_list() -> None:
    model, inputs = vit()
    with torch.no_grad(), regard.record(model) as recording:
        model(**inputs)
    with pytest.raises(SelectionError, match="recorded layers: "):
        recording["encoder.layer.12.*"]
