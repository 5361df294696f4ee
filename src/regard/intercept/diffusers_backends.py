"""Every kernel that diffusers' models call through `dispatch_attention_fn`.

Its registry is a table from backend names ("native", "flash", "sage", "flex") to functions. The
functions in it are watched; which of them runs is the program's choice. Tokens come before heads
there: (batch, tokens, heads, d).

Source: diffusers 0.42, `models/attention_dispatch.py`.
"""

import sys
from collections.abc import Callable
from typing import Any

from torch import Tensor

from regard.intercept.opaque import Doorway, Inside, KernelCall
from regard.intercept.recorder import Recorder
from regard.intercept.watched import WatchedPlace


def doorway(recorder: Recorder, inside: Inside) -> Doorway:
    """What is done at a call of a backend."""
    return Doorway(recorder, _sizes, kernel_call, inside)


def _sizes(query: Tensor, *_: Any, **_others: Any) -> tuple[int, int]:
    queries, heads = query.shape[1:3]
    return heads, queries


def kernel_call(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
    **_others: Any,
) -> KernelCall:
    """The arguments of a backend of diffusers."""
    left, right = (None if reach < 0 else reach for reach in window_size)
    return KernelCall(
        query.transpose(1, 2),
        key.transpose(1, 2),
        value.transpose(1, 2),
        mask=attn_mask,
        is_causal=is_causal,
        left=left,
        right=right,
        scale=scale,
        dropout=dropout_p,
    )


def _begin(wrapped: Callable[[Any], Any]) -> Callable[[], None]:
    table: dict[Any, Any] = sys.modules[
        "diffusers.models.attention_dispatch"
    ]._AttentionBackendRegistry._backends
    before = dict(table)
    table.update({name: wrapped(kernel) for name, kernel in before.items()})
    return lambda: table.update(before)


PLACE = WatchedPlace(_begin)
