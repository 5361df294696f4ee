"""What each word of a caption looks at: one call from the photo to the pictures."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from regard.analysis.rollout import rollout
from regard.attention import Attention, indices
from regard.errors import GeometryError, MediaError, SelectionError
from regard.media.animation import write_animation
from regard.media.image import read_image, upright_rgb
from regard.models.aoanet.decoding import Decoding
from regard.models.aoanet.features import Extract, Features
from regard.models.aoanet.loading import Captioner
from regard.models.aoanet.replay import DECODER, Replayed, captions_of
from regard.models.aoanet.stored_features import StoredFeatures
from regard.recording import Recording
from regard.render import Look, Picture, draw_boxes, draw_heads, draw_word_frames, draw_words
from regard.render.grid import Scaling
from regard.render.look import DEFAULT_LOOK
from regard.tokens import Tokens
from regard.tokens.spread import Between

if TYPE_CHECKING:
    from regard.captions.files import Kind

PANEL_PX = 480
"""Longer side of the maps in panels."""
TOP = 5
"""Regions that are named and outlined."""


@dataclass(frozen=True, kw_only=True)
class CaptionAttention:
    """A caption, and where the model looked for each of its words; shows itself in a notebook.

    Steps are words, and the end of the caption where the model ended it. Changing what is shown
    costs no second run: `caption.of(head=3)`.
    """

    photo: Image.Image
    """The photo, upright and RGB."""
    model: str
    """Name of the model."""
    replayed: Replayed
    """The caption with its recording."""
    head: int | None = None
    """The head that is shown; None for the mean of all."""
    from_input: bool = False
    """Whether weights are followed back through the refiner to the regions that went in: the
    decoder looks at refined regions, each of which already mixes others."""
    between: Between = "cells"
    """How weights of grid cells spread over pixels; regions always fill their boxes."""
    look: Look = DEFAULT_LOOK
    """Colours and scale."""

    def __post_init__(self) -> None:
        indices(self.head, self.replayed.weights.shape[1], "head")
        if self.from_input and not any(call.layer != DECODER for call in self.recording):
            raise SelectionError(f"model {self.model!r} has no refiner: from_input has no meaning")

    @property
    def text(self) -> str:
        """The caption."""
        return self.replayed.text

    @property
    def words(self) -> tuple[str, ...]:
        """One a step; the last is "<end>" where the model ended the caption."""
        return self.replayed.words

    @property
    def log_probabilities(self) -> tuple[float, ...]:
        """One a step."""
        return self.replayed.hypothesis.log_probabilities

    @property
    def score(self) -> float:
        """Sum of the log-probabilities, with the penalty for length."""
        return self.replayed.hypothesis.score

    @property
    def recording(self) -> Recording:
        """The attention calls: the refiner's six, then the decoder's, one a step."""
        return self.replayed.recording

    @property
    def layout(self) -> Tokens:
        """Where the regions or cells lie on the photo."""
        return self.replayed.layout

    def of(self, **changes: Any) -> "CaptionAttention":
        """The same caption, seen otherwise: `head`, `from_input`, `between` or `look`."""
        return replace(self, **changes)

    def all_weights(self) -> Tensor:
        """Weight of each region for each step and head, (steps, heads, regions) float32."""
        weights: Tensor = self.replayed.weights
        if self.from_input:
            return torch.matmul(weights, rollout(self._refiner, None)[0].cpu())
        return weights

    def weights(self) -> Tensor:
        """Weight of each region for each step, (steps, regions): of the head, or their mean."""
        every = self.all_weights()
        chosen: Tensor = every.mean(1) if self.head is None else every[:, self.head]
        return chosen

    def heats(self, *, size_hw: tuple[int, int] | None = None) -> Tensor:
        """Weight per pixel for each step, (steps, height, width) float32."""
        return self.layout.to_pixels(self.weights(), size_hw, between=self.between)

    def entropy(self) -> Tensor:
        """Entropy of each step and head in nats, (steps, heads); 0 looks at one region."""
        nats: Tensor = torch.special.entr(self.all_weights())
        return nats.sum(-1)

    def top(self, step: int, count: int = TOP) -> list[tuple[int, float]]:
        """The regions with the most weight at a step: pairs of (region, weight)."""
        found = self.weights()[self.index(step)].topk(min(count, self.layout.count))
        return list(zip(found.indices.tolist(), found.values.tolist(), strict=True))

    def index(self, step: int | str) -> int:
        """Number of a step: itself (negative from the end), or of the first such word.

        Raises:
            SelectionError: There is no such word.
        """
        if isinstance(step, str):
            if step not in self.words:
                raise SelectionError(f"no word {step!r} in: {' '.join(self.words)}")
            return self.words.index(step)
        chosen = indices(step, len(self.words), f"caption {self.text!r}: word")
        assert chosen is not None
        return int(chosen[0])

    def panels(self, *, scale: Scaling = "shared", columns: int | None = None) -> Picture:
        """The photo, then one panel a word, and one for the end.

        Args:
            scale: "shared" so that words compare, or "each".
            columns: Panels a row; by default as many as suit the page.
        """
        names = [
            f"{word} · {chance:.0%}" for word, chance in zip(self.words, self._chances, strict=True)
        ]
        return draw_words(
            self.photo,
            self.heats(size_hw=self._panel_hw),
            names,
            title=self.text or "(no words)",
            lines=[f"{self.model} · {self.view_words} · probability beside each word"],
            scale=scale,
            columns=columns,
            look=self.look,
        )

    def figure(self, columns: int = 5) -> Picture:
        """The panels for a paper: no title, five a row."""
        return draw_words(
            self.photo,
            self.heats(size_hw=self._panel_hw),
            self.words,
            columns=columns,
            look=self.look,
        )

    def outlines(self, step: int | str, count: int = TOP) -> Picture:
        """The photo with the regions of most weight outlined, for one word."""
        number = self.index(step)
        top = self.top(number, count)
        return draw_boxes(
            self.photo,
            [self.layout.box_xyxy(region) for region, _ in top],
            [weight for _, weight in top],
            names=[self.layout.name(region) for region, _ in top],
            title=self.words[number],
            lines=[
                self.text,
                f"{len(top)} of {self.layout.count} regions by weight · {self.view_words}",
            ],
            look=self.look,
        )

    def heads(self, step: int | str) -> Picture:
        """Every head, for one word, on one scale."""
        number = self.index(step)
        weights = self.all_weights()[number]
        entropy = self.entropy()[number]
        return draw_heads(
            self.photo,
            self.layout.to_pixels(weights, self._panel_hw, between=self.between),
            names=[f"head {i} · {float(nats):.2f} nats" for i, nats in enumerate(entropy)],
            title=self.words[number],
            lines=[self.text, f"{self.model} · entropy beside each head"],
            look=self.look,
        )

    def refiner(self, region: int | tuple[float, float]) -> Picture:
        """Where a region looks in each layer of the refiner, and through all of them.

        Args:
            region: Its index, or a point (x, y) of the photo: the smallest region there.

        Raises:
            SelectionError: The model has no refiner, or there is no such region.
        """
        calls = self._refiner
        if not calls:
            raise SelectionError(f"model {self.model!r} has no refiner")
        number = self.layout.at(*region) if isinstance(region, tuple) else region
        rows = [_row(call, number, self.head) for call in calls]
        rows.append(rollout(calls, number)[0, 0].cpu())
        return draw_heads(
            self.photo,
            self.layout.to_pixels(torch.stack(rows), self._panel_hw, between=self.between),
            names=[*(f"layer {i}" for i in range(len(calls))), "all layers (rollout)"],
            title=f"{self.layout.name(number)} looks at",
            lines=[f"{self.model} · refiner · {self._head_words}"],
            scale="each",
            query_xy=self.layout.center_xy(number),
            look=self.look,
        )

    def refined_regions(self, layer: int, count: int = 11) -> Picture:
        """Where the regions that the words use most look, in one layer of the refiner."""
        calls = self._refiner
        chosen = indices(layer, len(calls), f"model {self.model!r}: refiner layer")
        assert chosen is not None
        used = self.replayed.weights.mean((0, 1)).topk(min(count, self.layout.count)).indices
        rows = [_row(calls[int(chosen[0])], int(region), self.head) for region in used]
        return draw_words(
            self.photo,
            self.layout.to_pixels(torch.stack(rows), self._panel_hw, between=self.between),
            [self.layout.name(int(region)) for region in used],
            title=f"Refiner, layer {int(chosen[0])}: where regions look",
            lines=[self.text, f"{self.model} · {self._head_words} · the regions words use most"],
            look=self.look,
        )

    def frames(self) -> list[Picture]:
        """One picture a word, made to be shown one after another."""
        heats = self.heats(size_hw=self._panel_hw)
        return draw_word_frames(self.photo, heats, self.words, look=self.look)

    def animate(self, path: str | os.PathLike[str], *, seconds: float = 0.8) -> None:
        """Write the words one after another as .gif or .mp4.

        Raises:
            MediaError: Another ending, no time, or the file cannot be written.
        """
        if not seconds > 0:
            raise MediaError(f"{seconds} seconds a word, expected more than 0")
        write_animation(path, [frame.image for frame in self.frames()], fps=1 / seconds)

    def page(self) -> str:
        """A web page in one file: hover a word to see its map, a region to see its words."""
        from regard.captions.page import caption_page

        return caption_page(self)

    def to_json(self) -> dict[str, Any]:
        """Everything about the words as plain numbers, lists and text."""
        from regard.captions.files import as_json

        return as_json(self)

    def save(
        self, folder: str | os.PathLike[str], kinds: "Sequence[Kind]" = ("words", "page", "json")
    ) -> list[Path]:
        """Paths of the files that were written into a folder; see `regard.captions.files`.

        Args:
            folder: Where to; made if need be.
            kinds: Which: "words" (all words, and each by itself), "boxes", "heads", "page",
                "json", "npz", "gif", "mp4", "figure".

        Raises:
            MediaError: The folder cannot be made or written to.
        """
        from regard.captions.files import save

        return save(self, Path(folder), kinds)

    @property
    def view_words(self) -> str:
        """What is shown: the head, and whether it is followed through the refiner."""
        return self._head_words + (", through the refiner" if self.from_input else "")

    def _repr_png_(self) -> bytes:
        return self.panels()._repr_png_()

    def __repr__(self) -> str:
        return (
            f"<caption {self.text!r} of {self.model}: {len(self.words)} steps, {self.view_words}>"
        )

    @property
    def _refiner(self) -> list[Attention]:
        return [call for call in self.recording if call.layer != DECODER]

    @property
    def _chances(self) -> list[float]:
        return torch.tensor(self.log_probabilities).exp().tolist()

    @property
    def _head_words(self) -> str:
        heads = self.replayed.weights.shape[1]
        if heads == 1:
            return "one head"
        return f"mean of {heads} heads" if self.head is None else f"head {self.head % heads}"

    @property
    def _panel_hw(self) -> tuple[int, int]:
        width, height = self.photo.size
        scale = min(1.0, PANEL_PX / max(width, height))
        return max(1, round(height * scale)), max(1, round(width * scale))


def _row(call: Attention, region: int, head: int | None) -> Tensor:
    return call.weights(region, head)[0, :, 0].float().mean(0).cpu()


def caption(
    photo: str | os.PathLike[str] | Image.Image,
    *,
    model: Captioner,
    features: Features | StoredFeatures | Extract | None = None,
    decoding: Decoding | None = None,
    best: int = 1,
    head: int | None = None,
    look: Look = DEFAULT_LOOK,
) -> list[CaptionAttention]:
    """The best captions of a photo, each with the attention of its words.

    Args:
        photo: An image file, or a PIL image (not with stored features, which go by its name).
        model: What `load_captioner` gave.
        features: What the model sees of the photo: `Features`, stored ones, or a function from
            photo to features, such as what `load_cnn` gave. None: the CNN that came with the model.
        decoding: How captions are chosen; by default two beams.
        best: How many captions, at most; beams give as many as there are beams.
        head: The head that is shown; None for the mean.
        look: Colours and scale.

    Raises:
        MediaError: The photo cannot be read.
        ModelNotFound: There are no features of it.
        GeometryError: Features that the model does not take, or that do not fit the photo.
        SelectionError: No such head.
    """
    upright = upright_rgb(photo) if isinstance(photo, Image.Image) else read_image(photo)
    features = model.cnn if features is None else features
    if features is None:
        raise GeometryError(
            f"model {model.name!r} takes features, not pixels, and came without a CNN: give "
            "features, such as StoredFeatures or load_cnn"
        )
    if isinstance(features, Features):
        found = features
    elif isinstance(features, StoredFeatures):
        if isinstance(photo, Image.Image):
            raise GeometryError(
                "stored features go by a photo's name: pass the file, not a picture"
            )
        found = features.of(Path(photo), upright.size)
    else:
        found = features(upright)
    (replayed,) = captions_of(model, [found], decoding or Decoding(), best=best)
    return [
        CaptionAttention(photo=upright, model=model.name, replayed=one, head=head, look=look)
        for one in replayed
    ]
