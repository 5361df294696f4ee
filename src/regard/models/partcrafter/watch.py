"""What each part's tokens looked at during a denoising run, reduced while it runs.

A run of the released model makes 35 GB of queries in the attention to the image alone. So every
call is reduced when it comes: to the mean over each part's latent tokens, of every step, layer and
head. Queries and keys are kept of the steps and layers that were asked for. Only rows that see
the image count: without guidance all rows, with it the second half.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from regard.attention import Attention, DotProductAttention
from regard.kept import Kept
from regard.models.partcrafter.transformer import TransformerConfig
from regard.recording import Recording, matches
from regard.tokens import Tokens

Layout = Literal["local", "global"]
LAYERS = "blocks.*"
"""What of the transformer is recorded."""

_LAYER = re.compile(r"blocks\.(\d+)\.attn([12])")


@dataclass(eq=False, kw_only=True)
class Watch:
    """Takes the calls of a run one by one; give `each` to `regard.record`.

    Attributes:
        config: Of the transformer.
        parts: Number of parts.
        tokens: Latent tokens of a part, the time token left out.
        guided: Whether the batch holds every part twice.
        times: (sigma, timestep) of each step.
        keys: What the image tokens stand for.
        keep_steps: Steps whose queries and keys are kept.
        keep_layers: Glob of the layers whose are.
        between_parts: Whether attention among the parts is reduced too, in the layers where they
            attend together; it costs as much as those layers themselves.
        recording: What was kept, a call for each step, layer and part.
        blocks: Blocks that read the image, in order.
        means: float32 (steps, blocks, parts, heads, keys); NaN until a step has run.
        entropies: float32 (steps, blocks, parts, heads), in nats.
        between: float32 (steps, global blocks, parts, parts), what each part's tokens read of
            each part; None without `between_parts` or such blocks.
    """

    config: TransformerConfig
    parts: int
    tokens: int
    guided: bool
    times: list[tuple[float, float]]
    keys: Tokens
    keep_steps: Collection[int] = ()
    keep_layers: str = "*"
    between_parts: bool = False
    recording: Recording = field(default_factory=Recording)
    blocks: tuple[int, ...] = field(init=False)
    means: Tensor = field(init=False)
    entropies: Tensor = field(init=False)
    between: Tensor | None = field(init=False, default=None)
    _global_blocks: tuple[int, ...] = field(init=False)
    _image_keys: dict[int, Kept] = field(default_factory=dict)

    def __post_init__(self) -> None:
        blocks = range(self.config.num_layers)
        self.blocks = tuple(block for block in blocks if self.config.sees_image(block))
        self._global_blocks = tuple(b for b in blocks if b in self.config.global_blocks)
        steps, parts, heads = len(self.times), self.parts, self.config.num_attention_heads
        self.means = _unknown(steps, len(self.blocks), parts, heads, self.keys.count)
        self.entropies = _unknown(steps, len(self.blocks), parts, heads)
        if self.between_parts and self._global_blocks:
            self.between = _unknown(steps, len(self._global_blocks), parts, parts)

    @property
    def layers(self) -> list[str]:
        """Paths of the layers that read the image."""
        return [f"blocks.{block}.attn2" for block in self.blocks]

    def each(self, call: Attention) -> bool:
        """Reduce a call; it is not kept as it is."""
        found = _LAYER.fullmatch(call.layer)
        if found is None or not isinstance(call, DotProductAttention):
            return False
        block, is_self = int(found[1]), found[2] == "1"
        if not is_self and block in self.blocks:
            self._reduce(call, block)
        elif is_self and self.between is not None and block in self._global_blocks:
            layer = self._global_blocks.index(block)
            self.between[int(call.axes["forward"]), layer] = self._among_parts(call)
        return False

    def layout(self, block: int) -> Layout:
        """Whether the parts attend together in a block, or each by itself."""
        return "global" if block in self.config.global_blocks else "local"

    def _reduce(self, call: DotProductAttention, block: int) -> None:
        step, layer = int(call.axes["forward"]), self.blocks.index(block)
        is_kept = step in self.keep_steps and matches(call.layer, self.keep_layers)
        for part in range(self.parts):  # one by one: the weights of all would be many at once
            one = self._of_part(call, block, part)
            weights = one.weights(slice(1, None))[0]  # without the time token
            self.means[step, layer, part] = weights.mean(1)
            self.entropies[step, layer, part] = -torch.xlogy(weights, weights).sum(-1).mean(-1)
            if is_kept:
                self.recording.append(self._kept(one, block))

    def _of_part(self, call: DotProductAttention, block: int, part: int) -> DotProductAttention:
        """The call as a part made it: (1, heads, 1 + tokens, image tokens)."""
        q, k = call.scores.q.get(), call.scores.k.get()
        length = self.tokens + 1
        if self.layout(block) == "local":
            row = part + (self.parts if self.guided else 0)
            q, k = q[row : row + 1], k[row : row + 1]
        else:
            q, k = q[-1:, :, part * length : (part + 1) * length], k[-1:]
        sigma, timestep = self.times[int(call.axes["forward"])]
        return DotProductAttention(
            shape=(1, q.shape[1], length, k.shape[2]),
            scores=replace(call.scores, q=Kept(q), k=Kept(k)),
            layer=call.layer,
            axes={
                **call.axes,
                "step": call.axes["forward"],
                "timestep": timestep,
                "sigma": sigma,
                "part": part,
                "layout": self.layout(block),
            },
            queries=Tokens(length, prefix=("time",)),
            keys=self.keys,
        )

    def _kept(self, one: DotProductAttention, block: int) -> DotProductAttention:
        """The same with memory of its own; keys are stored once for all steps and parts."""
        one.scores.q.clone()
        stored = self._image_keys.get(block)
        if stored is None or not torch.equal(stored.get(), one.scores.k.get()):
            one.scores.k.clone()
            self._image_keys[block] = stored = one.scores.k
        one.scores = replace(one.scores, k=stored)
        return one

    def _among_parts(self, call: DotProductAttention) -> Tensor:
        q, k = call.scores.q.get()[-1:], call.scores.k.get()[-1:]
        alone = DotProductAttention(
            shape=(1, *call.shape[1:]), scores=replace(call.scores, q=Kept(q), k=Kept(k))
        )
        length = self.tokens + 1
        read = [
            weights[0].mean(0).reshape(-1, self.parts, length).sum(-1)
            for _, weights in alone.tiles()
        ]
        each_token = torch.cat(read).reshape(self.parts, length, self.parts)
        return each_token.mean(1).float().cpu()


def _unknown(*shape: int) -> Tensor:
    return torch.full(shape, torch.nan)
