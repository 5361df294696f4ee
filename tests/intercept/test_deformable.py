"""Deformable attention of every family that has it, and of the forms in official codes."""

import copy
import importlib
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import deformable_models
import regard
from deformable_models import Row
from recorded import only, random
from regard import Recording
from regard.deformable import DeformableAttention
from regard.intercept.deformable import places
from regard.zoo.inputs import tensors

EXACT = 2e-6
"""Relative: W·V is summed in another order than the model's samples are."""

every_row = pytest.mark.parametrize("row", deformable_models.ROWS, ids=str)


@cache
def recorded(row: Row) -> tuple[Recording, list[Tensor], list[Tensor]]:
    model = deformable_models.built(row)
    plain = tensors(deformable_models.run(row, model))
    with regard.record(model) as recording:
        output = deformable_models.run(row, model)
    return recording, plain, tensors(output)


def deformable_calls(row: Row) -> list[DeformableAttention]:
    return [call for call in recorded(row)[0] if isinstance(call, DeformableAttention)]


def relative_error(call: regard.Attention) -> float:
    assert call.sample is not None
    return call.sample.error(call) / float(call.sample.outputs.get().abs().max())


@every_row
def test_every_call_is_recorded_and_nothing_changes(row: Row) -> None:
    recording, plain, output = recorded(row)
    calls = deformable_calls(row)
    assert len(calls) == row.calls
    assert calls[0].levels_hw == row.levels_hw, "in the model's order"
    assert calls[-1].points_per_level == row.points
    assert recording.unrecorded == []
    assert all(torch.equal(a, b) for a, b in zip(plain, output, strict=True))


@every_row
def test_weights_give_the_output_of_the_model(row: Row) -> None:
    for call in deformable_calls(row):
        assert relative_error(call) <= EXACT
        total = call.weights().sum(-1)
        assert float(total.max()) <= 1 + 1e-6, "samples outside the map are lost, none are added"
        assert float(total.mean()) > 0.1


@every_row
def test_the_check_notices_levels_in_another_order(row: Row) -> None:
    if len(row.levels_hw) == 1:
        pytest.skip("one level has one order")
    assert max(relative_error(turned(call)) for call in deformable_calls(row)) > 100 * EXACT


def turned(call: DeformableAttention) -> DeformableAttention:
    """The call with its levels taken for the reverse ones."""
    return DeformableAttention(
        shape=call.shape,
        locations=call.locations,
        point_weights=call.point_weights,
        levels_hw=call.levels_hw[::-1],
        points_per_level=call.points_per_level,
        nearest=call.nearest,
        sample=call.sample,
    )


@every_row
def test_files_keep_every_bit(row: Row, tmp_path: Path) -> None:
    recording = recorded(row)[0].find(kind="deformable")
    again = Recording.load(recording.save(tmp_path / "r.safetensors"))
    for call, loaded in zip(recording, again, strict=True):
        assert isinstance(call, DeformableAttention)
        assert isinstance(loaded, DeformableAttention)
        assert (loaded.levels_hw, loaded.nearest) == (call.levels_hw, call.nearest)
        assert loaded.points_per_level == call.points_per_level
        assert torch.equal(loaded.weights(), call.weights())


def core(
    value: Tensor, spatial_shapes: Tensor, sampling_locations: Tensor, attention_weights: Tensor
) -> Tensor:
    """Written from equation 3 of the paper: bilinear samples of each level, weighed and added."""
    batch, _, heads, d = value.shape
    queries = sampling_locations.shape[1]
    sizes = [int(h * w) for h, w in spatial_shapes]
    total = value.new_zeros(batch * heads, d, queries)
    for level, cells in enumerate(torch.split(value, sizes, 1)):
        height, width = (int(n) for n in spatial_shapes[level])
        image = cells.permute(0, 2, 3, 1).reshape(batch * heads, d, height, width)
        grid = sampling_locations[:, :, :, level].transpose(1, 2).flatten(0, 1) * 2 - 1
        samples = F.grid_sample(image, grid, align_corners=False)
        weights = attention_weights[:, :, :, level].transpose(1, 2).flatten(0, 1)
        total = total + (samples * weights[:, None]).sum(-1)
    return total.view(batch, heads * d, queries).transpose(1, 2)


class Kernel(torch.autograd.Function):
    """As the official code wraps its CUDA kernel."""

    @staticmethod
    def forward(
        ctx: Any,
        value: Tensor,
        spatial_shapes: Tensor,
        sampling_locations: Tensor,
        attention_weights: Tensor,
    ) -> Tensor:
        return core(value, spatial_shapes, sampling_locations, attention_weights)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Any:
        raise NotImplementedError


class BrokenKernel(Kernel):
    @staticmethod
    def forward(
        ctx: Any,
        value: Tensor,
        spatial_shapes: Tensor,
        sampling_locations: Tensor,
        attention_weights: Tensor,
    ) -> Tensor:
        raise RuntimeError("not compiled for this device")


class Sampling(nn.Module):
    """Takes points and weights itself."""

    def forward(
        self,
        value: Tensor,
        spatial_shapes: Tensor,
        sampling_locations: Tensor,
        attention_weights: Tensor,
    ) -> Tensor:
        return core(value, spatial_shapes, sampling_locations, attention_weights)


class DeformableLayer(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.num_heads = 2
        self.core = core
        self.sampling = Sampling()

    def method(self, value: Tensor, shapes: Tensor, *points: Tensor) -> Tensor:
        return self._method(value, shapes, *points)

    @staticmethod
    def _method(
        value: Tensor,
        spatial_shapes: Tensor,
        sampling_locations: Tensor,
        attention_weights: Tensor,
    ) -> Tensor:
        return core(value, spatial_shapes, sampling_locations, attention_weights)

    def guarded(self, *args: Tensor) -> Tensor:
        try:
            return BrokenKernel.apply(*args)  # type: ignore[no-any-return,no-untyped-call]
        except RuntimeError:
            return core(*args)

    def forward(self, value: Tensor, shapes: Tensor, xy: Tensor, scores: Tensor) -> Tensor:
        weights = scores.flatten(3).softmax(-1).view(scores.shape)
        forms: dict[str, Any] = {
            "function": lambda *args: core(*args),
            "attribute": self.core,
            "module": self.sampling,
            "method": self.method,
            "kernel": Kernel.apply,
            "broken kernel": self.guarded,
        }
        out: Tensor = forms[self.form](value, shapes, xy, weights)
        return out


SHAPES = torch.tensor([[3, 5], [2, 2]])


def layer_inputs(batch: int = 2, queries: int = 4) -> dict[str, Tensor]:
    return {
        "value": random(batch, 19, 2, 6),
        "shapes": SHAPES,
        "xy": random(batch, queries, 2, 2, 3, 2, seed=1) * 0.4 + 0.5,
        "scores": random(batch, queries, 2, 2, 3, seed=2),
    }


FORMS = ["function", "attribute", "module", "method", "kernel", "broken kernel"]


@pytest.mark.parametrize("form", FORMS)
def test_every_place_where_a_function_can_be(form: str) -> None:
    model = DeformableLayer(form)
    plain = model(**layer_inputs())
    before = {name: dict(vars(m)) for name, m in model.named_modules()}
    holders = (sys.modules[__name__], Kernel, BrokenKernel, DeformableLayer, Sampling)
    outside = [dict(vars(holder)) for holder in holders]
    with regard.record(model) as recording:
        output = model(**layer_inputs())
    assert torch.equal(output, plain)
    assert isinstance(only(recording), DeformableAttention)
    assert relative_error(recording[0]) <= EXACT
    assert recording.unrecorded == []
    assert {name: dict(vars(m)) for name, m in model.named_modules()} == before
    assert [dict(vars(holder)) for holder in holders] == outside, "nothing stays behind"


def test_a_kernel_still_has_gradients() -> None:
    model = DeformableLayer("attribute")
    inputs = layer_inputs()
    inputs["scores"].requires_grad_()
    with regard.record(model) as recording:
        output = model(**inputs)
    output.square().sum().backward()
    assert inputs["scores"].grad is not None
    assert not only(recording).weights().requires_grad


def test_gradients_of_the_weights() -> None:
    """dL/dW = dO·Vᵀ over all cells; through the points it gives what autograd gives them."""
    model = DeformableLayer("function")
    inputs = layer_inputs()
    inputs["scores"].requires_grad_()
    with regard.record(model, gradients=True) as recording:
        out = model(**inputs)
        out.square().sum().backward()
    call = only(recording)
    outer = (2 * out).detach().view(2, 4, 2, 6).transpose(1, 2)
    expected = outer @ inputs["value"].permute(0, 2, 3, 1)
    torch.testing.assert_close(call.gradient(), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(call.gradient(2, 1), expected[:, [1]][:, :, [2]], rtol=0, atol=1e-5)


def test_an_error_of_the_model_stays_its_own_and_leaves_nothing() -> None:
    model = DeformableLayer("attribute")
    inputs = layer_inputs() | {"shapes": torch.tensor([[3, 5], [9, 9]])}
    with pytest.raises(RuntimeError, match="split"), regard.record(model):
        model(**inputs)
    assert model.core is core
    with regard.record(model) as recording:
        model(**layer_inputs())
    assert len(recording) == 1


def test_only_the_layers_that_are_asked_for() -> None:
    model = nn.ModuleList([DeformableLayer("function"), DeformableLayer("attribute")])
    with regard.record(model, "1") as recording:
        for layer in model:
            layer(**layer_inputs())
    assert [call.layer for call in recording] == ["1"]


def test_arguments_that_are_overwritten_later() -> None:
    class OverwritingAttention(nn.Module):
        def forward(self, value: Tensor, shapes: Tensor, xy: Tensor, scores: Tensor) -> Tensor:
            xy, weights = xy.clone(), scores.flatten(3).softmax(-1).view(scores.shape)
            out = core(value, shapes, xy, weights)
            xy.zero_()
            weights.zero_()
            return out

    model = OverwritingAttention()
    with regard.record(model) as recording:
        model(**layer_inputs())
    assert relative_error(only(recording)) <= EXACT


def test_recordings_in_two_threads_that_overlap() -> None:
    """The first to end must not stop the other, and the last one puts the functions back."""
    first_ended, both_open = threading.Event(), threading.Barrier(2)
    found: dict[str, int] = {}

    def record(name: str) -> None:
        model = DeformableLayer("function")
        with regard.record(model) as recording:
            both_open.wait(10)
            model(**layer_inputs())
            if name == "second":
                first_ended.wait(10)
                model(**layer_inputs())
        found[name] = len(recording)
        first_ended.set()

    threads = [threading.Thread(target=record, args=(name,)) for name in ("first", "second")]
    original = core
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {"first": 1, "second": 2}
    assert core is original


def test_nested_recordings_both_record() -> None:
    model = DeformableLayer("function")
    with regard.record(model) as outer, regard.record(model) as inner:
        model(**layer_inputs())
    assert len(outer) == len(inner) == 1


def test_a_copy_that_is_made_inside_is_a_model_of_its_own() -> None:
    model = DeformableLayer("module")
    with regard.record(model) as recording:
        model(**layer_inputs())
        copied = copy.deepcopy(model)
    assert "forward" not in vars(copied.sampling)
    assert len(recording) == 1
    assert torch.equal(copied(**layer_inputs()), model(**layer_inputs()))


def test_another_model_of_the_same_class_is_not_recorded() -> None:
    model, other = DeformableLayer("module"), DeformableLayer("module")
    with regard.record(model) as recording:
        other(**layer_inputs())
        model(**layer_inputs())
    assert len(recording) == 1


def test_places_name_functions_and_nothing_else() -> None:
    found = {
        (getattr(p.holder, "__name__", "a module"), p.name)
        for p in places(DeformableLayer("function").modules())
    }
    assert found == {
        ("a module", "core"),
        ("DeformableLayer", "_method"),
        ("Sampling", "forward"),
        (__name__, "core"),
        ("Kernel", "apply"),
        ("BrokenKernel", "apply"),
    }


UNMARKED = "def sample(value): ...\n\n\nclass Layer(nn.Module): ...\n"
MARKED = "def sample(value, sampling_locations, attention_weights): ...\n"


def test_places_in_a_file_that_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found in a file is looked for again where a name is new or the file is reloaded."""
    path = tmp_path / "changing_file.py"
    path.write_text("from torch import nn\n" + UNMARKED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file = importlib.import_module("changing_file")
    try:
        assert not list(places([file.Layer()]))
        exec(MARKED.replace("sample", "other"), vars(file))
        assert [place.name for place in places([file.Layer()])] == ["other"]
        path.write_text(
            "from torch import nn\n" + UNMARKED.replace("def sample", "def plain") + MARKED
        )
        file = importlib.reload(file)
        assert {place.name for place in places([file.Layer()])} == {"other", "sample"}
    finally:
        del sys.modules["changing_file"]
