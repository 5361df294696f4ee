"""`record`: the attention of any model, caught while it runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import get_args

from torch import nn

from regard.attention import Attention
from regard.errors import CaptureError
from regard.intercept.deformable import DeformableCalls
from regard.intercept.eager import compiled_runs_eagerly
from regard.intercept.keeper import Keeper
from regard.intercept.libraries import libraries_watched
from regard.intercept.mode import Interceptor
from regard.intercept.recorder import Keep, Recorder
from regard.intercept.report import nothing_recorded, unrecorded
from regard.intercept.stack import ModuleStack
from regard.layouts.watch import watching
from regard.recording import Recording


@contextmanager
def record(
    model: nn.Module,
    layers: str | Sequence[str] = "*",
    *,
    keep: Keep = "auto",
    gradients: bool = False,
    only_inside: bool = False,
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
        only_inside: Look at nothing but what runs inside of the modules that `layers` match. All
            else runs as fast as ever, which matters where the model is quick: small passes, on a
            graphics card. What is made outside of them is kept whole, such as a bias that is
            computed once for all layers, and if something outside overwrites a kept tensor in
            place, reading it raises `StaleRecord`.
        each: Called with every call once its layer has run, while the model waits; the call is
            kept only if the answer is True. So a run of any length is reduced in constant memory.

    Yields:
        The recording; calls are added as they happen.

    Raises:
        NothingRecorded: The body ended well and no call was recorded.
        CaptureError: `model` is no module, `keep` is none of the three, or with `only_inside`
            no module matches `layers`.
        Exception: What `each` raised, once the `with` ends; it is not called again.

    Example:
        >>> with regard.record(model) as recording:  # doctest: +SKIP
        ...     model(pixels)
        >>> recording[-1].weights(queries=0)  # doctest: +SKIP
    """
    if not isinstance(model, nn.Module):
        raise CaptureError(f"record wants a torch.nn.Module, got {type(model).__name__}")
    if keep not in get_args(Keep):
        raise CaptureError(f"keep={keep!r} is not one of {', '.join(get_args(Keep))}")
    recording = Recording()
    patterns = (layers,) if isinstance(layers, str) else tuple(layers)
    stack = ModuleStack(model, patterns if only_inside else None)
    recorder = Recorder(
        recording, stack, Keeper(stack.modules.values()), patterns, keep, gradients, each
    )
    interceptor = Interceptor(recorder)
    stack.while_inside = interceptor if only_inside else None
    deformable = DeformableCalls(recorder, interceptor.softmax)
    stack.attach()
    try:
        with (
            watching(stack.followed, recording.noted),
            compiled_runs_eagerly(),
            deformable.listening(),
            libraries_watched(recorder),
            nullcontext() if only_inside else interceptor,
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
