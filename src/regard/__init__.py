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
    from regard.captions.attention import CaptionAttention, caption
    from regard.clips.clip import ClipAttention, video
    from regard.deformable import DeformableAttention
    from regard.geometry import ViewTransform
    from regard.intercept.record import record
    from regard.inventory import layers
    from regard.layouts.lay_out import lay_out
    from regard.models.aoanet.loading import load_captioner
    from regard.models.registry import load as load_model
    from regard.objects.attention import ObjectAttention, panoptic
    from regard.parts.generation import generate
    from regard.photo import PhotoAttention, image
    from regard.prompt import watch_prompt
    from regard.recording import Recording
    from regard.render import Look, Picture
    from regard.runs import RecordedVideo, Run, open_run
    from regard.summaries.summarize import summarize
    from regard.tokens import Tokens
    from regard.tokens.grid import GridTokens
    from regard.tokens.joined import JoinedTokens, Segment
    from regard.tokens.parted import PartedTokens
    from regard.tokens.points import PointTokens
    from regard.tokens.pyramid import PyramidTokens
    from regard.tokens.regions import RegionTokens
    from regard.tokens.selected import SelectedTokens
    from regard.tokens.words import WordTokens

_HOME = {
    "Attention": "regard.attention:Attention",
    "CaptionAttention": "regard.captions.attention:CaptionAttention",
    "ClipAttention": "regard.clips.clip:ClipAttention",
    "DeformableAttention": "regard.deformable:DeformableAttention",
    "DotProductAttention": "regard.attention:DotProductAttention",
    "ExplicitAttention": "regard.attention:ExplicitAttention",
    "GridTokens": "regard.tokens.grid:GridTokens",
    "JoinedTokens": "regard.tokens.joined:JoinedTokens",
    "Look": "regard.render:Look",
    "ObjectAttention": "regard.objects.attention:ObjectAttention",
    "PartedTokens": "regard.tokens.parted:PartedTokens",
    "PhotoAttention": "regard.photo:PhotoAttention",
    "Picture": "regard.render:Picture",
    "PointTokens": "regard.tokens.points:PointTokens",
    "PyramidTokens": "regard.tokens.pyramid:PyramidTokens",
    "RecordedVideo": "regard.runs:RecordedVideo",
    "Recording": "regard.recording:Recording",
    "RegionTokens": "regard.tokens.regions:RegionTokens",
    "Run": "regard.runs:Run",
    "Segment": "regard.tokens.joined:Segment",
    "SelectedTokens": "regard.tokens.selected:SelectedTokens",
    "Tokens": "regard.tokens:Tokens",
    "ViewTransform": "regard.geometry:ViewTransform",
    "WordTokens": "regard.tokens.words:WordTokens",
    "caption": "regard.captions.attention:caption",
    "generate": "regard.parts.generation:generate",
    "image": "regard.photo:image",
    "lay_out": "regard.layouts.lay_out:lay_out",
    "layers": "regard.inventory:layers",
    "load_captioner": "regard.models.aoanet.loading:load_captioner",
    "load_model": "regard.models.registry:load",
    "open_run": "regard.runs:open_run",
    "panoptic": "regard.objects.attention:panoptic",
    "record": "regard.intercept.record:record",
    "relevance": "regard.analysis.relevance:relevance",
    "rollout": "regard.analysis.rollout:rollout",
    "summarize": "regard.summaries.summarize:summarize",
    "video": "regard.clips.clip:video",
    "watch_prompt": "regard.prompt:watch_prompt",
}
"""Where each public name is defined: module, and its name there."""

__all__ = [
    "Attention",
    "CaptionAttention",
    "ClipAttention",
    "DeformableAttention",
    "DotProductAttention",
    "ExplicitAttention",
    "GridTokens",
    "JoinedTokens",
    "Look",
    "ObjectAttention",
    "PartedTokens",
    "PhotoAttention",
    "Picture",
    "PointTokens",
    "PyramidTokens",
    "RecordedVideo",
    "Recording",
    "RegionTokens",
    "Run",
    "Segment",
    "SelectedTokens",
    "Tokens",
    "ViewTransform",
    "WordTokens",
    "caption",
    "generate",
    "image",
    "lay_out",
    "layers",
    "load_captioner",
    "load_model",
    "open_run",
    "panoptic",
    "record",
    "relevance",
    "rollout",
    "summarize",
    "video",
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
