"""`record`: the attention of any model, caught while it runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, get_args

from torch import nn

from regard.attention import Attention
from regard.errors import CaptureError
from regard.intercept.deformable import DeformableCalls
from regard.intercept.eager import compiled_runs_eagerly
from regard.intercept.keeper import Keeper
from regard.intercept.kernels import Kernels
from regard.intercept.libraries import libraries_watched
from regard.intercept.mode import Interceptor
from regard.intercept.recorder import Keep, Recorder
from regard.intercept.report import nothing_recorded, unrecorded
from regard.intercept.stack import ModuleStack
from regard.layouts.watch import watching
from regard.recording import Recording

Watch = Literal["calls", "kernels"]


@contextmanager
def record(
    model: nn.Module,
    layers: str | Sequence[str] = "*",
    *,
    keep: Keep = "auto",
    gradients: bool = False,
    watch: Watch = "calls",
    sampled: str | Sequence[str] = "*",
    each: Callable[[Attention], bool | None] | None = None,
) -> Iterator[Recording]:
    """The recording of every attention call that the model makes inside the `with`.

    The model is left as it is and takes its own fast path; afterwards nothing stays behind on it
    or in torch. Only the current thread is recorded. `torch.compile`d parts run eagerly inside.

    Args:
        model: Any module.
        layers: Glob over module paths, such as "encoder.layer.8.*", or several; it also matches
            everything inside a module that it names.
        keep: "qk" keeps q, k and masks (memory grows with tokens, not with their square) and
            computes any weight later; "weights" keeps the weights; "auto" whichever is smaller.
            Deformable attention keeps its points in any case.
        gradients: Also keep v and, when you call `backward` inside or after the `with`, the
            gradient of each attention output: `call.gradient()` is computed from them.
        watch: "calls" looks at every call of torch, and so finds attention however a model writes
            it. "kernels" listens only where models compute it as a whole:
            `scaled_dot_product_attention`, torch's attention modules, the kernels of transformers
            and diffusers, deformable attention. The rest runs as fast as ever, which matters for
            models that are quick, as on a graphics card. What nobody looks at: products and
            softmaxes that a model writes out itself; how a mask was made, so it is kept whole;
            writes to a kept tensor, so that reading it after one raises `StaleRecord`.
        sampled: Glob of the layers, or several, of whose outputs a sample is kept; without one,
            `Recording.verify` cannot check a layer.
        each: Called with every call once its layer has run, while the model waits; the call is
            kept only if the answer is True. So a run of any length is reduced in constant memory.

    Yields:
        The recording; calls are added as they happen.

    Raises:
        NothingRecorded: The body ended well and no call was recorded.
        CaptureError: `model` is no module; `keep` or `watch` is none of the choices; with
            "kernels", no module matches `layers`.
        Exception: What `each` raised, once the `with` ends; it is not called again.

    Example:
        >>> with regard.record(model) as recording:  # doctest: +SKIP
        ...     model(pixels)
        >>> recording[-1].weights(queries=0)  # doctest: +SKIP
    """
    if not isinstance(model, nn.Module):
        raise CaptureError(f"record wants a torch.nn.Module, got {type(model).__name__}")
    for name, value, choices in (("keep", keep, Keep), ("watch", watch, Watch)):
        if value not in get_args(choices):
            raise CaptureError(f"{name}={value!r} is not one of {', '.join(get_args(choices))}")
    recording = Recording()
    patterns, checked = (
        (globs,) if isinstance(globs, str) else tuple(globs) for globs in (layers, sampled)
    )
    only_kernels = watch == "kernels"
    stack = ModuleStack(model, patterns if only_kernels else None)
    keeper = Keeper(stack.modules.values())
    recorder = Recorder(
        recording, stack, keeper, patterns, checked, keep, only_kernels, gradients, each
    )
    interceptor = Interceptor(recorder)
    deformable = DeformableCalls(recorder, interceptor.softmax)
    stack.attach()
    try:
        with (
            watching(stack.modules, recording.noted),
            compiled_runs_eagerly(),
            deformable.listening(),
            _listening(recorder, interceptor),
        ):
            yield recording
    finally:
        stack.detach()
        recording.unrecorded = recorder.guard(unrecorded, recorder, interceptor.softmax) or []
        interceptor.close()
    if recorder.failure is not None:
        raise recorder.failure
    if not (recording or (each and recorder.found)):
        raise nothing_recorded(recorder, recording.unrecorded)


@contextmanager
def _listening(recorder: Recorder, mode: Interceptor) -> Iterator[None]:
    """A context in which everything that is to be watched is."""
    if not recorder.only_kernels:
        with libraries_watched(recorder), mode:
            yield
    else:
        kernels = Kernels(recorder, mode)
        with libraries_watched(recorder, kernels.opened), kernels.listening():
            yield
