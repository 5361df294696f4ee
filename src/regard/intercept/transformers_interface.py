"""Every kernel that transformers' models call through its `AttentionInterface`.

The interface is a table from names ("sdpa", "flash_attention_2", whatever was registered) to
functions; models look theirs up at each call. Looking up is watched; what was chosen runs.

Source: transformers 5, `modeling_utils.AttentionInterface` and `integrations/flash_attention.py`.
"""

import sys
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from regard.intercept.opaque import Doorway, Inside, KernelCall
from regard.intercept.recorder import Recorder
from regard.intercept.watched import WatchedPlace

PAGED = "a paged cache: its keys are gathered inside the kernel"


def doorway(recorder: Recorder, inside: Inside) -> Doorway:
    """What is done at a call through the interface."""

    def sizes(
        _module: nn.Module, query: Tensor, *_: Any, cache: Any = None, **_others: Any
    ) -> tuple[int, int] | None:
        if cache is not None:
            recorder.miss(PAGED)
            return None
        heads, queries = query.shape[1:3]
        return heads, queries

    return Doorway(recorder, sizes, kernel_call, inside)


def kernel_call(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    position_bias: Tensor | None = None,
    cu_seq_lens_q: Tensor | None = None,
    cu_seq_lens_k: Tensor | None = None,
    **_others: Any,
) -> KernelCall:
    """The arguments of an attention function of transformers.

    A four-dimensional mask says everything; causality and the window count only without one. The
    window holds `sliding_window` keys, the query's own place among them.
    """
    if is_causal is None:
        is_causal = bool(getattr(module, "is_causal", True))
    whole = False
    if attention_mask is not None and attention_mask.dim() == 4:
        whole, attention_mask = True, attention_mask[..., : key.shape[2]]
    if whole or query.shape[2] == 1:
        is_causal = False
    window = None if whole or sliding_window is None else sliding_window - 1
    bounds = (
        (cu_seq_lens_q, cu_seq_lens_k)
        if cu_seq_lens_q is not None and cu_seq_lens_k is not None
        else None
    )
    return KernelCall(
        query,
        key,
        value,
        mask=attention_mask,
        is_causal=is_causal,
        left=window,
        right=window,
        scale=scaling,
        softcap=softcap,
        sinks=s_aux,
        bias=position_bias,
        bounds=bounds,
        dropout=dropout,
    )


def _begin(wrapped: Callable[[Any], Any]) -> Callable[[], None]:
    interface: Any = sys.modules["transformers.modeling_utils"].AttentionInterface
    lookup = interface.__getitem__

    def watched(self: Any, name: str) -> Any:
        return wrapped(lookup(self, name))

    interface.__getitem__ = watched
    return lambda: delattr(interface, "__getitem__")


PLACE = WatchedPlace(_begin)
