"""Token layouts: what index ``i`` along an attention axis stands for.

`Tokens` (in base.py) knows only how many there are. Layouts with places have a file each:
`GridTokens` (cells of a grid), `PyramidTokens` (cells of several), `RegionTokens` (boxes),
`PointTokens`, and three that are made of others: `JoinedTokens` (one after another),
`SelectedTokens` (in another order), `PartedTokens` (cut into windows along the batch).
A further layout is one class: give it a ``kind`` and say where its tokens lie.
"""

from regard.tokens.base import Tokens, tokens_from_json
from regard.tokens.channels import ChannelTokens
from regard.tokens.grid import GridTokens
from regard.tokens.joined import JoinedTokens, Segment
from regard.tokens.parted import PartedTokens
from regard.tokens.points import PointTokens
from regard.tokens.pyramid import PyramidTokens
from regard.tokens.regions import RegionTokens
from regard.tokens.selected import SelectedTokens
from regard.tokens.words import WordTokens

__all__ = [
    "ChannelTokens",
    "GridTokens",
    "JoinedTokens",
    "PartedTokens",
    "PointTokens",
    "PyramidTokens",
    "RegionTokens",
    "Segment",
    "SelectedTokens",
    "Tokens",
    "WordTokens",
    "tokens_from_json",
]
