"""What each word of a prompt shaped: attention of image places to words, in diffusers pipelines.

Works while an ordinary pipeline runs, UNet or transformer. In a UNet the image attends to the text
by cross-attention; in joint transformers (Stable Diffusion 3, Flux) image and text attend together,
and the part from image places to words is taken. With guidance only what sees the prompt counts:
the second half of the rows, or, where a pipeline runs twice a step, the first of the two passes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from regard.attention import Attention, indices
from regard.errors import InputError, SelectionError
from regard.intercept.record import record
from regard.render import Look, Picture, draw_heads

Pick = int | Sequence[int] | slice | None
_WORD = re.compile("\\w+(?:['\N{RIGHT SINGLE QUOTATION MARK}-]\\w+)*")

_TEXT_FIRST = {
    "FluxTransformer2DModel",
    "Flux2Transformer2DModel",
    "QwenImageTransformer2DModel",
    "AuraFlowTransformer2DModel",
}
_IMAGE_FIRST = {"SD3Transformer2DModel"}
"""Joint transformers, by where the text stands in their sequence."""

_TOKENIZERS = {
    "FluxTransformer2DModel": (("tokenizer_2", None),),
    "SD3Transformer2DModel": (("tokenizer", 77), ("tokenizer_3", None)),
}
"""Which tokenizers make the text tokens, and how many each; by default `tokenizer` makes all."""


@dataclass(eq=False)
class PromptAttention:
    """Attention from every place of a generated image to every word, as the run went on.

    Attributes:
        prompt: The prompt.
        positions: Text tokens of each word.
        maps: By (step, layer): (text tokens that belong to words, rows, columns), mean over heads:
            the share of each place's attention that goes to the token.
    """

    prompt: str
    positions: dict[str, tuple[int, ...]]
    maps: dict[tuple[int, str], Tensor] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """The words of the prompt, in order; the same word again has a number: "cat", "cat 2"."""
        return list(self.positions)

    @property
    def layers(self) -> list[str]:
        """Layers that attend to the text, in the order of their first call."""
        return list(dict.fromkeys(layer for _, layer in self.maps))

    @property
    def steps(self) -> int:
        """Number of denoising steps."""
        return 1 + max((step for step, _ in self.maps), default=-1)

    def heat(
        self,
        word: str,
        size_hw: tuple[int, int] = (512, 512),
        *,
        steps: Pick = None,
        layers: Pick = None,
    ) -> Tensor:
        """How much each place of the image attends to a word, (height, width) float32.

        Mean over steps and layers, each layer's grid scaled up bilinearly; a word of several
        tokens counts their sum.

        Args:
            word: One of `words`.
            size_hw: Size of the image.
            steps: Which steps; None for all.
            layers: Which of `layers`, by index; None for all.

        Raises:
            SelectionError: No such word, step or layer.
        """
        if word not in self.positions:
            raise SelectionError(f"no word {word!r} in the prompt; words: {', '.join(self.words)}")
        rows = [self._kept.index(position) for position in self.positions[word]]
        names = self.layers
        chosen_steps = set(_chosen(steps, self.steps, "step"))
        chosen = {names[i] for i in _chosen(layers, len(names), "layer")}
        total, count = torch.zeros(size_hw), 0
        for (step, layer), grid in self.maps.items():
            if step in chosen_steps and layer in chosen:
                one = grid[rows].sum(0)[None, None]
                total += F.interpolate(one, size_hw, mode="bilinear", align_corners=False)[0, 0]
                count += 1
        if not count:
            raise SelectionError("no step or no layer is chosen; expected one of each at least")
        return total / count

    def draw(
        self,
        image: Image.Image,
        words: Sequence[str] | None = None,
        *,
        steps: Pick = None,
        layers: Pick = None,
    ) -> Picture:
        """A panel for each word, over the image, on one scale.

        Args:
            image: What the pipeline made.
            words: Which words; all by default.
            steps: As for `heat`.
            layers: As for `heat`.
        """
        shown = self.words if words is None else list(words)
        size_hw = (image.height, image.width)
        heats = [self.heat(word, size_hw, steps=steps, layers=layers) for word in shown]
        return draw_heads(
            image,
            torch.stack(heats),
            names=shown,
            title="What attends to each word",
            lines=[f"“{self.prompt}” · {self.steps} steps, {len(self.layers)} layers"],
            look=Look(unit="value"),
        )

    @property
    def _kept(self) -> list[int]:
        return sorted({i for positions in self.positions.values() for i in positions})


@contextmanager
def watch_prompt(
    pipeline: Any,
    prompt: str,
    *,
    layers: str = "*",
    positions: Mapping[str, Sequence[int]] | None = None,
) -> Iterator[PromptAttention]:
    """Record what a diffusers pipeline's image attends to in its prompt.

    Args:
        pipeline: Any text-to-image pipeline with a `unet` or a `transformer`.
        prompt: What the pipeline is then called with.
        layers: Glob of the layers that are recorded, such as "up_blocks.*".
        positions: Text tokens of each word, where the pipeline rewrites the prompt (chat
            templates) and its tokenizer cannot tell.

    Yields:
        The attention, filled while the pipeline runs inside the `with`.

    Raises:
        InputError: No denoiser, or no word whose tokens are known.
        NothingRecorded: The pipeline did not run inside.
        SelectionError: No layer of that name attends to the prompt.

    Example:
        >>> with watch_prompt(pipeline, "a red car") as watched:  # doctest: +SKIP
        ...     image = pipeline("a red car").images[0]
        >>> watched.draw(image)  # doctest: +SKIP
    """
    denoiser = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    if not isinstance(denoiser, nn.Module):
        raise InputError(f"{type(pipeline).__name__} has neither a unet nor a transformer")
    found = _positions(pipeline, denoiser, prompt) if positions is None else positions
    watched = PromptAttention(prompt, {word: tuple(at) for word, at in found.items()})
    if not watched.positions:
        raise InputError(f"no word found in the prompt {prompt!r}")
    reducer = _Reducer(denoiser, watched)
    handle = denoiser.register_forward_pre_hook(reducer.see, with_kwargs=True)
    try:
        with record(denoiser, layers, keep="qk", each=reducer.each):
            yield watched
        if not watched.maps:
            raise SelectionError(f"no layer that attends to the prompt matches {layers!r}")
    finally:
        handle.remove()


class _Reducer:
    """Takes calls one by one and keeps the maps of words."""

    def __init__(self, denoiser: nn.Module, watched: PromptAttention) -> None:
        self._watched = watched
        self._kind = type(denoiser).__name__
        self._patch = int(getattr(denoiser.config, "patch_size", None) or 1)
        self._grid = (0, 0)
        self._twice = False
        self._step = -1
        self._image: Tensor | None = None
        self._is_prompt = False

    def see(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before the denoiser runs: which step it is, how large the image, where the prompt is."""
        hidden = next((kwargs[n] for n in ("hidden_states", "sample") if n in kwargs), None)
        hidden = args[0] if hidden is None else hidden
        self._twice = _copies(hidden, 2)  # guidance runs the same image twice
        if _copies(hidden, 3):
            raise InputError(
                "the pipeline runs every image three times at once, and which rows have the prompt "
                "is not known; watch it without guidance by perturbed attention or by an image"
            )
        images = len(hidden) // (2 if self._twice else 1)
        if images > 1:
            raise InputError(
                f"the pipeline makes {images} images at once, whose attention would be mixed; "
                "watch one image of one prompt at a time"
            )
        self._begin(hidden)
        if hidden.dim() == 4:
            self._grid = (hidden.shape[2] // self._patch, hidden.shape[3] // self._patch)
        elif kwargs.get("img_ids") is not None:
            ids = kwargs["img_ids"].reshape(-1, kwargs["img_ids"].shape[-1])
            self._grid = (int(ids[:, 1].max()) + 1, int(ids[:, 2].max()) + 1)

    def _begin(self, hidden: Tensor) -> None:
        """Another step, or another pass on the image of the same one.

        Every pipeline that runs passes one by one (`true_cfg_scale` in Flux and Qwen-Image, Chroma,
        HunyuanVideo, ...) begins with the prompt's; what follows on the same image has none, or is
        a copy with layers left out (Stable Diffusion 3).
        """
        before = self._image
        again = before is not None and torch.equal(before[-len(hidden) :], hidden)
        self._is_prompt = not again
        if not again:
            self._step += 1
            self._image = hidden.detach().clone()  # a scheduler may write into it

    def each(self, call: Attention) -> bool:
        """Keep a call's map, if it goes from image places to text."""
        place = self._place(call) if self._is_prompt else None
        if place is not None:
            self._watched.maps[self._step, call.layer] = self._map(call, *place)
        return False

    def _place(self, call: Attention) -> tuple[tuple[int, int], slice, int] | None:
        """Grid of the call's image places, where they stand, where the text keys begin."""
        queries, keys = call.shape[2:]
        if self._kind in _TEXT_FIRST | _IMAGE_FIRST:
            count = self._grid[0] * self._grid[1]
            if queries != keys or queries <= count:
                return None
            if self._kind in _TEXT_FIRST:
                return self._grid, slice(queries - count, None), 0
            return self._grid, slice(0, count), count
        grid = _level(self._grid, queries)
        cross = grid is not None and queries != keys
        return (grid, slice(None), 0) if grid is not None and cross else None

    def _map(self, call: Attention, grid: tuple[int, int], image: slice, text: int) -> Tensor:
        columns = torch.tensor([text + position for position in self._watched._kept])
        if int(columns.max()) >= call.shape[3]:
            raise InputError(
                f"{call.layer} has {call.shape[3] - text} text tokens, but a word is token "
                f"{int(columns.max()) - text}; give the text tokens of each word as positions"
            )
        rows = slice(call.shape[0] // 2 if self._twice else 0, None)
        found = [
            weights[rows][..., columns.to(weights.device)].mean((0, 1)).float().cpu()
            for _, weights in call.tiles(image)
        ]
        return torch.cat(found).T.reshape(len(columns), *grid)


def _copies(hidden: Tensor, times: int) -> bool:
    """Whether a batch is the same rows so many times."""
    if len(hidden) % times:
        return False
    first, *others = hidden.chunk(times)
    return all(torch.equal(first, other) for other in others)


def _level(grid: tuple[int, int], count: int) -> tuple[int, int] | None:
    """The grid, halved until it has so many places; None if it never does."""
    height, width = grid
    while height * width > count and max(height, width) > 1:
        height, width = -(-height // 2), -(-width // 2)
    return (height, width) if height * width == count else None


def _positions(pipeline: Any, denoiser: nn.Module, prompt: str) -> dict[str, tuple[int, ...]]:
    """Text tokens of each word, by the offsets that the pipeline's tokenizers give."""
    spans = [(match.group(), match.span()) for match in _WORD.finditer(prompt)]
    found: dict[str, list[int]] = {}
    names = _numbered([word for word, _ in spans])
    start = 0
    for name, length in _TOKENIZERS.get(type(denoiser).__name__, (("tokenizer", None),)):
        tokenizer = getattr(pipeline, name, None)
        if tokenizer is None or not getattr(tokenizer, "is_fast", False):
            raise InputError(
                f"{type(pipeline).__name__}.{name} cannot tell which tokens a word became; give "
                "the text tokens of each word as positions={'word': [3, 4], ...}"
            )
        told = tokenizer(prompt, return_offsets_mapping=True)["offset_mapping"]
        for index, (first, last) in enumerate(told):
            for word, (begin, end) in zip(names, (span for _, span in spans), strict=True):
                if first < end and last > begin and (length is None or index < length):
                    found.setdefault(word, []).append(start + index)
        start += length or 0
    return {word: tuple(found[word]) for word in names if word in found}


def _numbered(words: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    names = []
    for word in words:
        seen[word] = seen.get(word, 0) + 1
        names.append(word if seen[word] == 1 else f"{word} {seen[word]}")
    return names


def _chosen(pick: Pick, count: int, what: str) -> list[int]:
    found = indices(pick, count, what)
    return list(range(count)) if found is None else found.tolist()
