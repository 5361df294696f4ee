"""Films of a run: every frame with what a subject was seen by, drawn as fast as it is encoded.

A film is a canvas that is set once, with names, colour bar and curve, and panels that are painted
anew for each frame.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image

from regard.errors import SelectionError
from regard.figures.film_canvas import FilmCanvas, panel_wh
from regard.figures.maps import Maps, small_hw
from regard.figures.photo_store import PhotoStore
from regard.figures.scaling import FrameScales
from regard.figures.subject import Subject
from regard.figures.truth import Truth
from regard.media.frames import Frame
from regard.models.dvis_daq.frame_store import FrameStore
from regard.render.arrays import Floats
from regard.render.chart import Chart, Curve
from regard.render.colour import High, Scale, number
from regard.render.contour import draw_contour
from regard.render.film_frame import FramePainter, without_attention
from regard.render.legend import Legend, high_words, range_words
from regard.render.look import Look
from regard.render.plate import type_size, write_plate

_MAP_PX = 320
"""Longest side of the maps that are interpolated over frames: some pixels for the finest cell."""


@dataclass(frozen=True, kw_only=True)
class FilmLook:
    """How a film is laid out."""

    scaling: str = "across_frames"
    """See `Scaling`."""
    look: Look = Look()  # noqa: RUF009 - it is frozen
    panels: bool = False
    """A panel for each layer, beside that of their mean."""
    importance: bool = False
    """How much each frame counts, as a curve with a cursor that runs along."""
    reorder: bool = False
    """Frames that count most first, each followed by the plain frame."""
    width_px: int | None = None
    """Width of a panel; by default that of the video, enlarged if it is small."""


def film(
    subject: Subject,
    frames: Iterable[Frame],
    layers: Sequence[int] | None = None,
    how: FilmLook = FilmLook(),
    *,
    beside: tuple[Subject, tuple[str, str]] | None = None,
    truth: Truth | None = None,
) -> Iterator[Image.Image]:
    """The pictures of a film, one by one, all of one size.

    One scale holds for all frames, so that they compare, unless each has its own. Frames outside
    of the subject's life have no attention to show and come in grey.

    Args:
        subject: Whose attention.
        frames: The video's frames, in order; see `RecordedVideo.frames`.
        layers: Layers of the predictor; by default all that were kept.
        how: Scale, colours and parts.
        beside: The subject of another run, shown at the right on the same scale, and the names
            of both.
        truth: The annotated object that the subject is: written below its class, and its frames
            are shaded in the curve.

    Raises:
        SelectionError: A layer that was not kept, weights of frames of an online model, or runs
            over other frames.
    """
    count = subject.video.frame_count
    if beside is not None and beside[0].video.frame_count != count:
        raise SelectionError(
            f"video {subject.video.id!r} has {count} frames in one run and "
            f"{beside[0].video.frame_count} in the other; films beside each other need the same"
        )
    with ExitStack() as stack:
        made = _Film.of(subject, layers, how, beside, truth, stack)
        if not how.reorder:
            for index, frame in enumerate(frames):
                yield made.picture(index, frame.image, frame.index)
            return
        store = stack.enter_context(closing(PhotoStore()))
        numbers = []
        for frame in frames:
            store.add(frame.image)
            numbers.append(frame.index)
        for index in np.argsort(-np.asarray(subject.frame_weights()), kind="stable").tolist():
            yield made.picture(index, store[index], numbers[index])
            yield made.picture(index, store[index], numbers[index], plain=True)


@dataclass(eq=False)
class _Strand:
    """One panel through all frames."""

    maps: Maps
    name: str
    scales: FrameScales
    shared: Scale | None
    """The scale of all frames, where they have one."""
    look: Look
    _kept: FrameStore
    """Maps of the frames of its life, which the scale was made of."""
    _painter: FramePainter | None = field(init=False, default=None)

    @classmethod
    def of(cls, maps: Maps, name: str, how: FilmLook, stack: ExitStack) -> "_Strand":
        subject = maps.subject
        temporal = how.scaling.startswith("temporal")
        weights = np.asarray(subject.frame_weights()) if temporal else None
        high: High = "max" if how.look.high == "max" else "p99.5"
        kept = stack.enter_context(FrameStore())
        scales = FrameScales.of(how.scaling, _keeping(maps, kept), weights, high=high)
        shared = scales.scale(min(scales.lows)) if scales.is_shared else None
        return cls(maps, name, scales, shared, how.look, kept)

    def paint(self, index: int, photo: Image.Image, line: int) -> Image.Image:
        """The photo with the map of a frame and the line around the instance."""
        life = self.maps.subject.life
        if index not in life:
            return without_attention(photo)
        values = self._kept[index - life.start].numpy()
        painted = self._painter_of(index).paint(photo, self.scales.shown(index, values))
        mask = self.maps.subject.mask(index)
        if mask is not None:
            if mask.shape != (photo.height, photo.width):
                stencil = Image.fromarray(mask.astype(np.uint8) * 255).resize(photo.size)
                mask = np.asarray(stencil) >= 128
            draw_contour(painted, mask, thickness=line)
        return painted

    def _painter_of(self, index: int) -> FramePainter:
        if self.shared is None:
            return FramePainter(self.scales.scale(index), self.look)
        if self._painter is None:
            self._painter = FramePainter(self.shared, self.look)
        return self._painter


def _keeping(maps: Maps, kept: FrameStore) -> Iterator[tuple[int, Floats]]:
    """The maps of all frames of a life, each kept once it is made."""
    size_hw = small_hw(maps.subject.video.size_hw, _MAP_PX)
    for frame in maps.subject.life:
        values = maps.smooth(frame, size_hw)
        assert values is not None
        kept.append(torch.from_numpy(values))
        yield frame, values


@dataclass(eq=False)
class _Film:
    """The canvas of a film and what is painted on it."""

    subject: Subject
    strands: list[_Strand]
    canvas: FilmCanvas
    weights: Floats | None
    truth: Truth | None

    @classmethod
    def of(
        cls,
        subject: Subject,
        layers: Sequence[int] | None,
        how: FilmLook,
        beside: tuple[Subject, tuple[str, str]] | None,
        truth: Truth | None,
        stack: ExitStack,
    ) -> "_Film":
        counts = how.importance or how.reorder
        weights = np.asarray(subject.frame_weights()) if counts else None
        strands = _strands(subject, layers, how, beside, stack)
        has_names = len(strands) > 1
        one_scale = len({strand.shared for strand in strands}) == 1
        width = panel_wh(subject.video.size_hw, len(strands), how.width_px)
        canvas = FilmCanvas(
            panel_wh=width,
            names=[_named(s, with_range=not one_scale) for s in strands] if has_names else (),
            legend=_legend(strands, how, one_scale),
            chart=_curve(subject, truth, weights, width[0] * len(strands))
            if how.importance
            else None,
        )
        return cls(subject, strands, canvas, weights, truth)

    def picture(
        self, index: int, photo: Image.Image, number_in_video: int, *, plain: bool = False
    ) -> Image.Image:
        """The film's picture for one frame; the plain frame has no attention and no line."""
        shown = photo if photo.mode == "RGB" else photo.convert("RGB")
        if shown.size != self.canvas.panel_wh:
            shown = shown.resize(self.canvas.panel_wh, Image.Resampling.BICUBIC)
        panels = []
        for strand in self.strands:
            panel = shown.copy() if plain else strand.paint(index, shown, self.canvas.line_px)
            if not plain:
                self._write_subject(panel, strand, index)
            panels.append(panel)
        self._write_frame(panels[-1], index, number_in_video)
        return self.canvas.filled(panels, cursor=index)

    def _write_frame(self, panel: Image.Image, index: int, number_in_video: int) -> None:
        size = type_size(panel.size)
        words = f"frame {number_in_video}"
        if self.weights is not None:
            words += f" · weight {100 * self.weights[index]:.1f} %"
        corner = (panel.width - size // 2, size // 2)
        write_plate(panel, words, corner, size=size, align_right=True)

    def _write_subject(self, panel: Image.Image, strand: _Strand, index: int) -> None:
        subject, size = strand.maps.subject, type_size(panel.size)
        if strand is self.strands[0] or subject is not self.subject:
            lives = "" if index in subject.life else " · does not live here"
            write_plate(panel, subject.words + lives, (size // 2, size // 2), size=size)
        if strand is self.strands[0] and self.truth is not None:
            at_xy = (size // 2, size // 2 + round(1.7 * size))
            write_plate(panel, self.truth.words_in(index), at_xy, size=size)
        if strand.shared is None and index in strand.scales.lows:
            span = range_words(strand.scales.scale(index))
            below = panel.height - size // 2 - round(1.6 * size)
            write_plate(panel, span, (size // 2, below), size=size)


def _strands(
    subject: Subject,
    layers: Sequence[int] | None,
    how: FilmLook,
    beside: tuple[Subject, tuple[str, str]] | None,
    stack: ExitStack,
) -> list[_Strand]:
    if beside is None:
        maps = Maps.of(subject, layers)
        chosen = maps.each() if how.panels else [maps]
        return [_Strand.of(one, one.words, how, stack) for one in chosen]
    other, names = beside
    pair = [
        _Strand.of(Maps.of(one, layers), name, how, stack)
        for one, name in zip((subject, other), names, strict=True)
    ]
    if pair[0].shared is not None and pair[1].shared is not None:
        pair[0].shared = pair[1].shared = _union(pair[0].shared, pair[1].shared)
    return pair


def _union(one: Scale, two: Scale) -> Scale:
    return Scale(
        low=min(one.low, two.low),
        high=max(one.high, two.high),
        smallest=min(one.smallest, two.smallest),
        largest=max(one.largest, two.largest),
    )


def _named(strand: _Strand, *, with_range: bool) -> str:
    if strand.shared is None or not with_range:
        return strand.name
    return f"{strand.name} · {number(strand.shared.low)} to {high_words(strand.shared)}"


def _legend(strands: Sequence[_Strand], how: FilmLook, one_scale: bool) -> Legend:
    shared = strands[0].shared
    return Legend(
        scale=shared if one_scale else None,
        look=how.look,
        places=(),
        over_photo=True,
        words=strands[0].scales.unit,
        elsewhere="number on each frame" if shared is None else "number above each panel",
    )


def _curve(subject: Subject, truth: Truth | None, weights: Any, width: int) -> Chart:
    """Weights of frames; those in which the object is annotated, or else it lives, are shaded."""
    shaded, words = np.asarray(subject.alive()), "lives"
    if truth is not None:
        shaded, words = np.isin(np.arange(len(shaded)), truth.frames), "object annotated"
    return Chart(
        curves=[Curve(weights)],
        names=subject.frame_names,
        shaded=None if shaded.all() else shaded,
        shade_name=words,
        axes=("frame", "weight"),
        size_wh=(max(width, 480) - 24, max(150, min(260, width // 5))),
    )
