"""See what a vision transformer looks at.

Names are imported when they are first used, so ``import regard`` costs nothing
and the command line answers before torch is loaded.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from regard.analysis.relevance import relevance
    from regard.analysis.rollout import rollout
    from regard.attention import Attention, DotProductAttention, ExplicitAttention
    from regard.deformable import DeformableAttention
    from regard.geometry import ViewTransform
    from regard.intercept.record import record
    from regard.inventory import layers
    from regard.models.registry import load as load_model
    from regard.objects.attention import ObjectAttention, panoptic
    from regard.parts.generation import generate
    from regard.photo import PhotoAttention, image
    from regard.prompt import watch_prompt
    from regard.pyramid import PyramidTokens
    from regard.recording import Recording
    from regard.render import Look, Picture
    from regard.tokens import GridTokens, Tokens

_HOME = {
    "Attention": "regard.attention:Attention",
    "DeformableAttention": "regard.deformable:DeformableAttention",
    "DotProductAttention": "regard.attention:DotProductAttention",
    "ExplicitAttention": "regard.attention:ExplicitAttention",
    "GridTokens": "regard.tokens:GridTokens",
    "Look": "regard.render:Look",
    "ObjectAttention": "regard.objects.attention:ObjectAttention",
    "PhotoAttention": "regard.photo:PhotoAttention",
    "Picture": "regard.render:Picture",
    "PyramidTokens": "regard.pyramid:PyramidTokens",
    "Recording": "regard.recording:Recording",
    "Tokens": "regard.tokens:Tokens",
    "ViewTransform": "regard.geometry:ViewTransform",
    "generate": "regard.parts.generation:generate",
    "image": "regard.photo:image",
    "layers": "regard.inventory:layers",
    "load_model": "regard.models.registry:load",
    "panoptic": "regard.objects.attention:panoptic",
    "record": "regard.intercept.record:record",
    "relevance": "regard.analysis.relevance:relevance",
    "rollout": "regard.analysis.rollout:rollout",
    "watch_prompt": "regard.prompt:watch_prompt",
}
"""Where each public name is defined: module, and its name there."""

__all__ = [
    "Attention",
    "DeformableAttention",
    "DotProductAttention",
    "ExplicitAttention",
    "GridTokens",
    "Look",
    "ObjectAttention",
    "PhotoAttention",
    "Picture",
    "PyramidTokens",
    "Recording",
    "Tokens",
    "ViewTransform",
    "generate",
    "image",
    "layers",
    "load_model",
    "panoptic",
    "record",
    "relevance",
    "rollout",
    "watch_prompt",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'regard' has no attribute {name!r}")
    module, _, its_name = _HOME[name].partition(":")
    value = getattr(importlib.import_module(module), its_name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__", "errors"])
