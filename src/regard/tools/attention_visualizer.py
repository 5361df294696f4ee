"""`AttentionVisualizer`: the calls of PartCrafter's visualization guide, over `regard.record`.

It works on any PyTorch model: weights are those that the model used, in every head, and the model
is never changed. Where the guide's own class differs: hooks there held modules instead of weights,
extraction failed on global blocks and left the model with replaced processors, heads were cut
wrongly but for the first, and layer numbers never matched.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from regard.analysis.parts import (
    concentration,
    entropy,
    overlap,
    relative_entropy,
    sparsity,
    stability,
)
from regard.attention import Attention
from regard.errors import CaptureError, SelectionError
from regard.intercept.record import record
from regard.media.animation import write_animation
from regard.recording import Recording
from regard.render import Look, draw_heads, draw_matrix

Path = str | os.PathLike[str]
_LOOK = Look(cmap="viridis", unit="weight", high="max")
_PANELS = Look(cmap="viridis", unit="value")


class AttentionVisualizer:
    """Records a model between `register_hooks` and `clear_hooks`, and draws what it recorded.

    Also a context: `with AttentionVisualizer() as visualizer: ...` clears at its end.

    Attributes:
        recording: Every call since `register_hooks`.
        guided: The model runs under classifier-free guidance: the first half of its rows do not
            see the image, and are left out of `attention_maps` and `over_steps`.
    """

    def __init__(self, *, guided: bool = False) -> None:
        self.recording = Recording()
        self.guided = guided
        self._open = ExitStack()

    def __enter__(self) -> "AttentionVisualizer":
        return self

    def __exit__(self, *_: object) -> None:
        self.clear_hooks()

    @property
    def attention_maps(self) -> dict[str, Tensor]:
        """The latest weights of each attention to something else, by layer: (B, H, Q, K)."""
        return {call.layer: self._seeing(call) for call in self.recording if _is_cross(call)}

    def over_steps(self, layer: str) -> list[Tensor]:
        """Weights of every call of a layer, in order: (B, H, Q, K) each."""
        return [self._seeing(call) for call in self.recording.find(layer)]

    def _seeing(self, call: Attention) -> Tensor:
        weights = call.weights()
        return weights[len(weights) // 2 :] if self.guided else weights

    def register_hooks(self, model: nn.Module) -> None:
        """Record the model from now on, in this thread, until `clear_hooks`."""
        self.clear_hooks()
        self.recording = Recording()

        def add(call: Attention) -> bool:
            self.recording.append(call)
            return False

        self._open.enter_context(record(model, keep="qk", each=add))

    def clear_hooks(self) -> None:
        """Stop recording. What was recorded stays; nothing stays on the model."""
        try:
            self._open.close()
        except CaptureError:  # nothing ran: the guide's code clears in any case
            pass
        finally:
            self._open = ExitStack()

    def extract_attention_weights(
        self,
        model: nn.Module,
        hidden_states: Any,
        encoder_hidden_states: Any = None,
        layer_idx: int | None = None,
        attention_kwargs: Mapping[str, Any] | None = None,
        timestep: Any = None,
        **inputs: Any,
    ) -> dict[str, Tensor]:
        """Run the model once; weights of its attention to other tokens, by layer.

        Args:
            model: Any model; it is called with the arguments below that are not None.
            hidden_states: Its first argument.
            encoder_hidden_states: What it attends to.
            layer_idx: Only block number `layer_idx`.
            attention_kwargs: Passed on; PartCrafter's number of parts comes in it.
            timestep: Passed on.
            **inputs: Any further arguments of the model.

        Returns:
            (batch, heads, queries, keys) by module path. Of a model without cross-attention, all.

        Raises:
            SelectionError: There is no such block.
        """
        named = {
            "timestep": timestep,
            "encoder_hidden_states": encoder_hidden_states,
            "attention_kwargs": attention_kwargs,
        }
        given = {name: value for name, value in named.items() if value is not None}
        with torch.no_grad(), record(model, keep="qk") as recording:
            model(hidden_states, **given, **inputs)
        chosen = [call for call in recording if _is_cross(call)] or list(recording)
        if layer_idx is not None:
            chosen = [call for call in chosen if _block(call.layer) == layer_idx]
            if not chosen:
                raise SelectionError(
                    f"no block {layer_idx} with attention; there are: {', '.join(recording.layers)}"
                )
        return {call.layer: call.weights() for call in chosen}

    def visualize_attention_heatmap(
        self,
        attention_weights: Tensor,
        save_path: Path,
        title: str = "Cross Attention Heatmap",
        figsize: tuple[int, int] | None = None,
    ) -> None:
        """Queries by keys, mean over batch and heads; `figsize` is taken and not needed."""
        del figsize
        draw_matrix(_mean(attention_weights), title=title, look=_LOOK).save(save_path)

    def visualize_multi_head_attention(
        self,
        attention_weights: Tensor,
        save_path: Path,
        title: str = "Multi-Head Cross Attention",
        figsize: tuple[int, int] | None = None,
    ) -> None:
        """A small matrix for each head, mean over the batch."""
        del figsize
        heads = attention_weights.detach().float().cpu().flatten(0, -4).mean(0)
        lines = ["queries downwards, keys across"]
        draw_heads(None, heads, title=title, lines=lines, look=_PANELS).save(save_path)

    def visualize_part_attention(
        self,
        attention_weights: Tensor,
        num_parts: int,
        save_path: Path,
        title: str = "Part-wise Cross Attention",
    ) -> None:
        """Parts by keys: mean over the tokens of each part.

        Weights of a block in which parts attend one by one have a batch row for each part (the
        last `num_parts` rows: those that see the image); of a block in which they attend together
        each part is a run of queries.

        Raises:
            SelectionError: Neither rows nor queries divide into so many parts.
        """
        by_part = weights_by_part(attention_weights, num_parts)
        names = [f"part {i}" for i in range(num_parts)]
        draw_matrix(by_part, query_names=names, title=title, look=_LOOK, axes=("part", "key")).save(
            save_path
        )

    def create_attention_animation(
        self,
        attention_weights_sequence: Sequence[Tensor],
        save_path: Path,
        fps: float = 2,
        title: str = "Cross Attention",
    ) -> None:
        """A frame for each step, queries by keys, on one scale; GIF or MP4 by the path's ending."""
        maps = [_mean(weights) for weights in attention_weights_sequence]
        high = max((float(one.max()) for one in maps), default=1.0)
        look = Look(cmap="viridis", unit="weight", high=high)
        frames = [
            draw_matrix(one, title=f"{title}, step {step}", look=look).image
            for step, one in enumerate(maps)
        ]
        write_animation(save_path, frames, fps=fps)


def statistics(attention_weights: Tensor) -> dict[str, float]:
    """What the guide asks of weights (..., queries, keys), over all rows.

    `mean`, `max`; `sparsity`: keys with less than a tenth of the even share; `entropy` in nats and
    `relative_entropy` as a share of the largest; `uniformity`: mass shared with an even row;
    `collapse`: share of rows with more than 90 % on one key; `times_uniform`: largest over even.
    """
    weights = attention_weights.detach().float()
    even = torch.full_like(weights, 1 / weights.shape[-1])
    return {
        "mean": float(weights.mean()),
        "max": float(weights.max()),
        "sparsity": float(sparsity(weights).mean()),
        "entropy": float(entropy(weights).mean()),
        "relative_entropy": float(relative_entropy(weights).mean()),
        "uniformity": float(overlap(weights, even).mean()),
        "collapse": float((weights.amax(-1) > 0.9 * weights.sum(-1)).float().mean()),
        "times_uniform": float(concentration(weights).mean()),
    }


def stability_over_steps(sequence: Sequence[Tensor]) -> list[float]:
    """Mass that each step's mean weights share with those of the step before, 0 to 1."""
    return [float(x) for x in stability(torch.stack([_mean(w).mean(0) for w in sequence]))]


def weights_by_part(attention_weights: Tensor, num_parts: int) -> Tensor:
    """(parts, keys) of weights (batch, heads, queries, keys), local or global.

    Raises:
        SelectionError: Neither rows nor queries divide into so many parts.
    """
    weights = attention_weights.detach().float().cpu()
    rows, _, queries, keys = weights.shape
    if rows % num_parts == 0 and rows >= num_parts > 1:
        return weights[-num_parts:].mean((1, 2))
    if queries % num_parts == 0:
        return weights[-1].mean(0).reshape(num_parts, -1, keys).mean(1)
    raise SelectionError(
        f"weights of {rows} rows and {queries} queries do not divide into {num_parts} parts"
    )


def process_batch(
    model: nn.Module, batches: Iterable[Mapping[str, Any]], layers: str = "*"
) -> Iterable[Recording]:
    """A recording for each batch of keyword arguments, one at a time."""
    for inputs in batches:
        with torch.no_grad(), record(model, layers) as recording:
            model(**inputs)
        yield recording


def _mean(weights: Tensor) -> Tensor:
    return weights.detach().float().cpu().flatten(0, -3).mean(0)


def _is_cross(call: Attention) -> bool:
    """Attention to other tokens: diffusers' name for it, or another number of keys."""
    return call.layer.endswith("attn2") or call.shape[2] != call.shape[3]


def _block(layer: str) -> int | None:
    found = re.search(r"(?:^|\.)(\d+)(?:\.|$)", layer)
    return int(found[1]) if found else None
