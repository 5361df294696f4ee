"""`record`: what it leaves behind (nothing), what it counts, and what it says when it fails."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._dynamo import eval_frame
from torch.overrides import _get_current_function_mode_stack
from torch.utils.checkpoint import checkpoint

import regard
from recorded import FunctionAttention, only, random
from regard.attention import DotProductAttention, ExplicitAttention
from regard.errors import CaptureError, NothingRecorded
from regard.intercept.keeper import Keeper
from regard.intercept.recorder import Recorder
from regard.intercept.sdpa import FusedAttention

sdpa = F.scaled_dot_product_attention


class SelfAttention(nn.Module):
    """Four heads of self attention, fused or written out."""

    def __init__(self, fused: bool = True, dim: int = 16) -> None:
        super().__init__()
        self.num_heads, self.fused = 4, fused
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, 4, c // 4).permute(2, 0, 3, 1, 4)
        if self.fused:
            y = sdpa(q, k, v)
        else:
            y = (q @ k.transpose(-2, -1) / (c // 4) ** 0.5).softmax(-1) @ v
        return y.transpose(1, 2).reshape(b, n, c)


class Block(nn.Module):
    def __init__(self, fused: bool = True) -> None:
        super().__init__()
        self.attn, self.mlp = SelfAttention(fused), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(x)
        y: Tensor = x + self.mlp(x)
        return y


class Tower(nn.Module):
    """Two blocks, the second written out."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block(fused=False)])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


X = random(1, 9, 16)


def footprint(model: nn.Module) -> list[Any]:
    """Everything about a model and torch that a recording touches while it is open."""
    hooks = [
        len(getattr(module, name))
        for module in model.modules()
        for name in ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_always_called")
    ]
    attributes = [sorted(vars(module)) for module in model.modules()]
    functions = [id(sdpa), id(F.multi_head_attention_forward), id(F.softmax), id(torch.matmul)]
    modes = len(_get_current_function_mode_stack())  # type: ignore[no-untyped-call]
    flags = [module.training for module in model.modules()]
    return [hooks, attributes, functions, modes, eval_frame._stance, flags]


def test_nothing_stays_behind() -> None:
    model = Tower()
    before, weights = footprint(model), {k: v.clone() for k, v in model.state_dict().items()}
    with regard.record(model) as recording:
        assert footprint(model) != before
        model(X)
    assert footprint(model) == before
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())
    assert len(recording) == 2


def test_nothing_stays_behind_when_the_model_fails() -> None:
    model = Tower()
    before = footprint(model)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), regard.record(model):
        model(random(1, 9, 5))
    assert footprint(model) == before
    with regard.record(model) as recording:
        model(X)
    assert [call.layer for call in recording] == ["blocks.0.attn", "blocks.1.attn"]


def test_a_failure_that_the_caller_catches_leaves_the_stack_right() -> None:
    model = Tower()
    with regard.record(model) as recording:
        with pytest.raises(RuntimeError):
            model(random(1, 9, 5))
        model(X)
    assert [call.layer for call in recording] == ["blocks.0.attn", "blocks.1.attn"]
    assert {call.axes["forward"] for call in recording} == {1}, "the failed pass is number 0"


def test_nothing_stays_behind_when_the_body_fails() -> None:
    model = Tower()
    before = footprint(model)

    def body() -> None:
        with regard.record(model):
            model(X)
            raise KeyError("of the user")

    with pytest.raises(KeyError):
        body()
    assert footprint(model) == before


def test_model_and_recording_die_as_soon_as_nobody_holds_them() -> None:
    """By reference counts alone: large tensors must not wait for the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        model = Tower()
        with torch.no_grad(), regard.record(model, keep="qk") as recording:
            model(X)
        gone, calls = weakref.ref(model), list(recording)
        del model
        assert gone() is None
        kept, emptied = weakref.ref(recording), weakref.ref(calls[0])
        assert calls[0].weights().shape == (1, 4, 9, 9)
        del recording, calls
        assert kept() is None
        assert emptied() is None
    finally:
        gc.enable()


def test_layers_that_are_not_wanted_keep_nothing_alive() -> None:
    model = Tower()
    with regard.record(model, "blocks.1.*") as recording:
        model(X)
    assert recording.layers == ["blocks.1.attn"]


@pytest.mark.parametrize(
    ("pattern", "layers"),
    [
        ("*", ["blocks.0.attn", "blocks.1.attn"]),
        ("blocks.0.attn", ["blocks.0.attn"]),
        ("blocks.1", ["blocks.1.attn"]),
        ("blocks.?", ["blocks.0.attn", "blocks.1.attn"]),
        ("*.attn", ["blocks.0.attn", "blocks.1.attn"]),
        ("blocks.[1-9]*", ["blocks.1.attn"]),
    ],
)
def test_layers_by_glob(pattern: str, layers: list[str]) -> None:
    model = Tower()
    with regard.record(model, pattern) as recording:
        model(X)
    assert recording.layers == layers
    assert recording.unrecorded == []


def test_passes_and_calls_are_counted() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn = SelfAttention()

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.attn(self.attn(x))
            return sdpa(y, y, sdpa(y, y, y))

    model = Twice()
    with regard.record(model) as recording:
        model(X)
        model(X)
    axes = [(call.layer, call.axes["forward"], call.axes["call"]) for call in recording]
    once = [("attn", 0), ("attn", 0), ("", 0), ("", 1)]
    assert axes == [(layer, forward, call) for forward in (0, 1) for layer, call in once]


def test_nested_recordings_of_one_model_and_of_a_part() -> None:
    model = Tower()
    before = footprint(model)
    with regard.record(model) as outer:
        with regard.record(model) as same, regard.record(model.blocks[1]) as part:
            model(X)
        model(X)
    assert [call.layer for call in same] == ["blocks.0.attn", "blocks.1.attn"]
    assert [call.layer for call in outer] == ["blocks.0.attn", "blocks.1.attn"] * 2
    inside = [call for call in part if call.layer == "attn"]
    for a, b in zip(outer[:2], same, strict=True):
        assert torch.equal(a.weights(), b.weights())
    assert torch.equal(inside[-1].weights(), same[1].weights())
    assert footprint(model) == before


def test_a_recording_of_a_part_knows_only_that_part() -> None:
    model = Tower()
    with regard.record(model.blocks[1]) as recording:
        model(X)
    assert [call.layer for call in recording] == ["attn"]


def test_another_thread_is_neither_recorded_nor_disturbed() -> None:
    model = Tower()
    stop, wrong = threading.Event(), []

    def run() -> None:
        model(X)  # torch rounds the first product of a thread otherwise than the rest
        plain = model(X)
        while not stop.is_set():
            if not torch.equal(model(X), plain):
                wrong.append("output")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        for _ in range(20):
            with regard.record(model) as recording:
                model(X)
            assert len(recording) == 2
            assert {call.axes["forward"] for call in recording} == {0}
    finally:
        stop.set()
        thread.join()
    assert not wrong


def test_overlapping_recordings_in_two_threads() -> None:
    model = Tower()
    before, found = footprint(model), {}
    opened, done = threading.Barrier(2, timeout=10), threading.Event()

    def run(name: str, last: bool) -> None:
        with regard.record(model) as recording:
            opened.wait()
            model(X)
            if last:
                done.wait(10)
        found[name] = len(recording)
        done.set()

    threads = [threading.Thread(target=run, args=args) for args in (("a", False), ("b", True))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"a": 2, "b": 2}
    assert footprint(model) == before


def test_a_model_in_another_thread_is_an_error_that_says_so() -> None:
    model = Tower()
    with (
        pytest.raises(NothingRecorded, match="another thread"),
        regard.record(model),
        ThreadPoolExecutor(1) as pool,
    ):
        pool.submit(model, X)


class LinearAttention(nn.Module):
    """Katharopoulos et al. 2020: no softmax, no weights."""

    def forward(self, x: Tensor) -> Tensor:
        q = k = F.elu(x) + 1
        return q @ (k.transpose(-2, -1) @ x)


class Plain(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.relu()


@pytest.mark.parametrize(
    ("model", "options", "text"),
    [
        (LinearAttention(), {}, r"What looked like attention: \(model\): .*linear"),
        (Plain(), {}, "no attention was seen in it. No module is named like it"),
        (Tower(), {"layers": "encoder.*"}, r"none in layers='encoder\.\*'; .*blocks\.0\.attn"),
    ],
)
def test_nothing_recorded_names_the_cause(
    model: nn.Module, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(NothingRecorded, match=text), regard.record(model, **options):
        model(X)


def test_a_model_that_was_not_called() -> None:
    with pytest.raises(NothingRecorded, match="Tower did not run inside"), regard.record(Tower()):
        pass


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_torchscript_is_named() -> None:
    scripted = torch.jit.trace(SelfAttention(), (X,))  # type: ignore[no-untyped-call]
    with pytest.raises(NothingRecorded, match="TorchScript"), regard.record(scripted):
        scripted(X)
    mixed = nn.Sequential(SelfAttention(), scripted)
    with regard.record(mixed) as recording:
        mixed(X)
    assert recording.layers == ["0"]
    assert "TorchScript" in recording.unrecorded[0].reason


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(("a model",), "wants a torch.nn.Module, got str"), ((Tower(),), "keep='all' is not one of")],
)
def test_arguments_are_checked(arguments: Any, text: str) -> None:
    with pytest.raises(CaptureError, match=text), regard.record(*arguments, keep="all"):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_model_is_recorded_and_stays_compiled(backend: str) -> None:
    runs = []

    def counting(graph: Any, inputs: Any) -> Any:
        compiled = torch._dynamo.lookup_backend(backend)(graph, inputs)
        runs.append(0)
        mine = len(runs) - 1

        def run(*args: Any) -> Any:
            runs[mine] += 1
            return compiled(*args)

        return run

    model = Tower().eval()
    with torch.no_grad():
        compiled = torch.compile(model, backend=counting)
        plain = compiled(X)
        graphs, calls = len(runs), sum(runs)
        with regard.record(compiled, keep="qk") as recording:  # type: ignore[arg-type]
            eager = compiled(X)
        assert sum(runs) == calls, "compiled code did not run while it was recorded"
        again = compiled(X)
    assert len(recording) == 2
    assert recording.layers == ["blocks.0.attn", "blocks.1.attn"]
    assert len(runs) == graphs, "nothing was compiled anew"
    assert sum(runs) == calls + graphs
    assert torch.equal(plain, again)
    torch.testing.assert_close(eager, plain, rtol=0, atol=2e-6)  # kernels may be fused otherwise
    torch._dynamo.reset()


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_records_each_call_once(reentrant: bool) -> None:
    class Checkpointed(Tower):
        def forward(self, x: Tensor) -> Tensor:
            for block in self.blocks:
                x = checkpoint(block, x, use_reentrant=reentrant)
            return x

    model, x = Checkpointed(), X.clone().requires_grad_()
    with regard.record(model) as recording:
        for _ in range(2):
            model(x).sum().backward()
    assert [call.layer for call in recording] == ["blocks.0.attn", "blocks.1.attn"] * 2
    assert [call.axes["forward"] for call in recording] == [0, 0, 1, 1]


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_transformed_functions_run_unrecorded() -> None:
    model = Tower()
    plain = torch.func.vmap(model)(X[None])
    with regard.record(model) as recording:
        output = torch.func.vmap(model)(X[None])
        model(X)
    assert torch.equal(output, plain)
    assert len(recording) == 2
    with pytest.raises(NothingRecorded, match=r"blocks\.0\.attn: it ran"), regard.record(model):
        torch.func.vmap(model)(X[None])


def test_an_exported_program() -> None:
    exported = torch.export.export(Tower().eval(), (X,)).module()
    with torch.no_grad(), regard.record(exported, keep="qk") as recording:
        exported(X)
    assert "dot_product" in {call.kind for call in recording}


def test_keep_auto_takes_the_smaller() -> None:
    """q and k are 2·N·d numbers, weights N·N: the border is at N = 2·d, where weights win."""
    for n, kind in ((15, ExplicitAttention), (16, ExplicitAttention), (17, DotProductAttention)):
        q = random(1, 2, n, 8)
        k = random(1, 2, n, 8, seed=1)
        with regard.record(nn.Module()) as recording:
            sdpa(q, k, k)
        assert type(only(recording)) is kind
        expected = 4 * 2 * (n * n if kind is ExplicitAttention else 2 * n * 8)
        assert recording.nbytes == only(recording).nbytes == expected


def test_keep_auto_counts_a_shared_mask_once() -> None:
    """The first layer pays for the mask, the second finds q and k alone smaller."""
    mask = random(32, 32)
    with regard.record(nn.Module()) as recording:
        for layer in range(3):
            q, k = random(1, 1, 32, 8, seed=layer), random(1, 1, 32, 8, seed=layer + 10)
            sdpa(q, k, k, attn_mask=mask)
    sizes = [call.kind for call in recording]
    assert sizes == ["explicit"] * 3, "a mask as large as the weights is paid by the first layer"
    heads = random(1, 4, 32, 8)
    with regard.record(nn.Module()) as recording:
        for layer in range(3):
            k = random(1, 4, 32, 8, seed=layer + 10)
            sdpa(heads + layer, k, k, attn_mask=mask)
    assert [call.kind for call in recording] == ["dot_product"] * 3
    assert recording.nbytes == mask.nbytes + 6 * heads.nbytes


@pytest.mark.parametrize("where", ["_understood", "_record", "add", "keep", "before_write"])
def test_a_failure_of_ours_never_reaches_the_model(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Tower()
    plain = model(X)

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("a bug of ours")

    owner = {
        "_understood": FusedAttention,
        "_record": FusedAttention,
        "add": Recorder,
        "keep": Keeper,
        "before_write": Keeper,
    }[where]
    with regard.record(model) as recording:
        model(X)
        monkeypatch.setattr(owner, where, fail)
        output = model(X)
        output.add_(0)
    assert torch.equal(output, plain)
    reasons = [item.reason for item in recording.unrecorded]
    assert any("a bug of ours" in reason for reason in reasons)


def test_recording_inside_inference_mode_and_reading_outside() -> None:
    model = Tower()
    with torch.inference_mode(), regard.record(model, keep="qk") as recording:
        model(X)
    for call in recording:
        torch.testing.assert_close(
            call.weights().sum(-1), torch.ones(call.shape[:3]), rtol=0, atol=1e-6
        )


def test_two_kinds_of_the_same_attention_agree() -> None:
    fused, written = SelfAttention(), SelfAttention(fused=False)
    written.load_state_dict(fused.state_dict())
    calls = []
    for model in (fused, written):
        with regard.record(model, keep="qk") as recording:
            model(X)
        calls.append(only(recording))
    torch.testing.assert_close(calls[0].weights(), calls[1].weights(), rtol=0, atol=1e-6)


def test_modules_named_after_attention_that_hold_none_are_listed() -> None:
    model = nn.Sequential(SelfAttention(), LinearAttention(), FunctionAttention(torch.relu))
    with regard.record(model) as recording:
        model(X)
    assert [item.layer for item in recording.unrecorded] == ["1", "2"]


def test_each_reduces_calls_without_keeping_them() -> None:
    model, means = Tower().eval(), []

    def mean(call: regard.Attention) -> None:
        means.append(call.mean())

    with torch.no_grad(), regard.record(model, each=mean) as streamed:
        model(X)
    with torch.no_grad(), regard.record(model) as kept:
        model(X)
    assert len(streamed) == 0
    assert len(means) == 2
    assert all(torch.equal(a, b.mean()) for a, b in zip(means, kept, strict=True))


def test_what_each_computes_is_no_attention_of_the_model() -> None:
    """It mixes values by weights, as attention does; the mode of the recording is on meanwhile."""
    model, layers = Tower().eval(), []

    def mixed(call: regard.Attention) -> bool:
        layers.append(call.layer)
        _ = call.weights() @ torch.randn(call.shape[0], call.shape[1], call.shape[3], 3)
        return True

    with torch.no_grad(), regard.record(model, each=mixed) as recording:
        model(X)
    assert layers == recording.layers == ["blocks.0.attn", "blocks.1.attn"]
    assert len(recording) == 2


def test_each_chooses_calls() -> None:
    model = Tower().eval()
    with regard.record(model, each=lambda call: "1" in call.layer) as recording:
        model(X)
    assert recording.layers == ["blocks.1.attn"]


def test_an_error_in_each_ends_the_recording_and_not_the_model() -> None:
    model, calls = Tower().eval(), []

    def wrong(call: regard.Attention) -> None:
        calls.append(call)
        raise KeyError("mine")

    outputs = []
    with torch.no_grad(), pytest.raises(KeyError, match="mine"), regard.record(model, each=wrong):
        outputs.append(model(X))
    with torch.no_grad():
        assert torch.equal(outputs[0], model(X))
    assert len(calls) == 1
