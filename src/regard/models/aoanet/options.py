"""The options that an AoANet was trained with, as its infos file states them."""

import dataclasses
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from regard.errors import CheckpointError

DECODERS = ("AoA", "LSTM", "base")
REFINER_LAYERS = 6
"""Fixed in the official code."""
BOX_FEATURES = 5
"""Numbers that `use_box` appends to each region's features."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What shapes the network and its decoding; names and defaults are those of the official code.

    >>> Options(vocab_size=9487, rnn_size=1024).head_width
    128
    """

    vocab_size: int
    """Words without the end token; the last one is UNK."""
    rnn_size: int
    """Width of everything after the embeddings."""
    input_encoding_size: int = 1024
    att_feat_size: int = 2048
    """Width of a region's features, without the box."""
    fc_feat_size: int = 2048
    """Width of the whole image's features, used where `mean_feats` is 0."""
    att_hid_size: int = 512
    """Width of additive attention."""
    num_heads: int = 8
    multi_head_scale: int = 1
    """Width of attention over `rnn_size`."""
    use_multi_head: int = 2
    """2: dot-product attention with heads in the decoder; anything else: additive attention."""
    decoder_type: str = "AoA"
    """What turns attended values into the next word: "AoA", "LSTM" or "base"."""
    refine: int = 1
    """Whether six layers of self-attention go over the regions first."""
    refine_aoa: int = 1
    use_ff: int = 1
    """Whether the refiner's layers have feed-forward parts."""
    mean_feats: int = 1
    """Whether the mean of the refined regions stands for the image."""
    out_res: int = 0
    use_bn: int = 0
    logit_layers: int = 1
    use_box: int = 0
    """Whether each region's box is part of its features."""
    norm_att_feat: int = 0
    norm_box_feat: int = 0
    max_length: int = 20
    """Most words of a caption."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.type is int:
                object.__setattr__(
                    self, field.name, _integer(field.name, getattr(self, field.name))
                )
        for name in ("vocab_size", "rnn_size", "num_heads", "multi_head_scale", "max_length"):
            if getattr(self, name) < 1:
                raise CheckpointError(f"option {name} is {getattr(self, name)}, expected 1 or more")
        if self.decoder_type not in DECODERS:
            raise CheckpointError(
                f"option decoder_type is {self.decoder_type!r}, expected one of {DECODERS}"
            )
        if self.inner_width % self.num_heads:
            raise CheckpointError(
                f"option num_heads is {self.num_heads}, which does not divide the attention's "
                f"width {self.inner_width} (rnn_size x multi_head_scale)"
            )

    @classmethod
    def from_opt(cls, opt: Mapping[str, Any]) -> Self:
        """Options out of ``infos["opt"]``; what this network does not use is left.

        Raises:
            CheckpointError: One that is needed is missing, or has no usable value.
        """
        kind = opt.get("caption_model", "aoa")
        if kind != "aoa":
            raise CheckpointError(
                f"the infos file is of a caption model {kind!r}; expected 'aoa' (AoANet)"
            )
        names = {field.name for field in dataclasses.fields(cls)}
        given = {name: value for name, value in opt.items() if name in names and value is not None}
        if not given.get("max_length") and opt.get("seq_length"):
            given["max_length"] = opt["seq_length"]
        for name in ("vocab_size", "rnn_size"):
            if name not in given:
                raise CheckpointError(
                    f"the infos file states no {name}; pass the one that training wrote beside "
                    "the checkpoint"
                )
        return cls(**given)

    @property
    def has_heads(self) -> bool:
        """Whether the decoder's attention is a dot product with heads."""
        return self.use_multi_head == 2

    @property
    def inner_width(self) -> int:
        """Width of queries, keys and values, all heads together."""
        return self.rnn_size * self.multi_head_scale

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.inner_width // self.num_heads

    @property
    def region_width(self) -> int:
        """Width of what the network takes for each region."""
        return self.att_feat_size + (BOX_FEATURES if self.use_box else 0)


def _integer(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise CheckpointError(f"option {name} is {value!r}, expected a whole number") from None
