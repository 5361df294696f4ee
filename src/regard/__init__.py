"""See what a vision transformer looks at.

Names are imported when they are first used, so ``import regard`` costs nothing
and the command line answers before torch is loaded.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from regard.analysis.rollout import rollout
    from regard.attention import Attention, DotProductAttention, ExplicitAttention
    from regard.geometry import ViewTransform
    from regard.intercept.record import record
    from regard.inventory import layers
    from regard.recording import Recording
    from regard.tokens import GridTokens, Tokens

_HOME = {
    "Attention": "regard.attention",
    "DotProductAttention": "regard.attention",
    "ExplicitAttention": "regard.attention",
    "GridTokens": "regard.tokens",
    "Recording": "regard.recording",
    "Tokens": "regard.tokens",
    "ViewTransform": "regard.geometry",
    "layers": "regard.inventory",
    "record": "regard.intercept.record",
    "rollout": "regard.analysis.rollout",
}

__all__ = [
    "Attention",
    "DotProductAttention",
    "ExplicitAttention",
    "GridTokens",
    "Recording",
    "Tokens",
    "ViewTransform",
    "layers",
    "record",
    "rollout",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'regard' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__", "errors"])
