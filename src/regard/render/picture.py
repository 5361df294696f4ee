"""The finished picture, and the sheet that it is drawn on.

A sheet is one raster, filled with NumPy, and lines, type and rings that matplotlib sets on top of
it, so that a PDF or SVG keeps its letters as letters and its lines as lines. Only matplotlib's
object interface is used: no pyplot, no current figure, no change to its settings.
"""

import functools
import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from regard.atomic import write_atomically
from regard.errors import MediaError
from regard.render import style
from regard.render.arrays import Pixels
from regard.render.colour import Scale
from regard.render.style import Colour

Weight = Literal["regular", "bold"]
Align = Literal["left", "center", "right"]

_FONTS = Path(__file__).parent / "fonts"
_INTER = {"regular": _FONTS / "Inter-Regular.ttf", "bold": _FONTS / "Inter-SemiBold.ttf"}
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
PNG_LEVEL = 4
"""How hard PNG is compressed: photos take a third of the time of level 6, for 4 % more bytes."""
_LINE_HEIGHT = 1.3
"""Height of a line of type over the size of the font."""


@dataclass(frozen=True)
class Text:
    """One line of type; ``x`` and the baseline ``y`` in pixels from the upper left corner."""

    words: str
    x: float
    y: float
    size: float
    colour: Colour
    weight: Weight
    align: Align
    degrees: float
    halo: bool = False
    """Whether a dark edge makes it readable on a photo."""


@dataclass(frozen=True)
class Ring:
    """Mark of a query point: its centre and radius in pixels from the upper left corner."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Line:
    """A line through points, in pixels from the upper left corner."""

    points: tuple[tuple[float, float], ...]
    colour: Colour
    width: float
    dashed: bool


@dataclass(frozen=True)
class Picture:
    """A finished picture.

    In a notebook it shows itself; ``save`` writes PNG, PDF or SVG; ``image`` is a PIL image.
    """

    raster: Pixels = field(repr=False)
    """(height, width, 3) uint8: everything but lines, type and rings."""
    texts: tuple[Text, ...] = field(default=(), repr=False)
    rings: tuple[Ring, ...] = field(default=(), repr=False)
    scales: tuple[Scale, ...] = ()
    """Scale of each panel, in their order; one that is shared is repeated."""
    drawn: tuple[Line, ...] = field(default=(), repr=False)
    """Lines of charts, from the one below to the one on top."""

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.raster.shape[1], self.raster.shape[0]

    @property
    def lines(self) -> tuple[str, ...]:
        """Every line of type on the picture, in drawing order."""
        return tuple(text.words for text in self.texts)

    @functools.cached_property
    def image(self) -> Image.Image:
        """The picture in RGB."""
        if not (self.texts or self.rings or self.drawn):
            return Image.fromarray(self.raster)
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figure = self._figure()
        renderer = FigureCanvasAgg(figure).get_renderer()
        # The raster goes straight into the canvas: exact, and faster than as a drawn image.
        pixels = np.asarray(renderer.buffer_rgba())
        pixels[..., :3], pixels[..., 3] = self.raster, 255
        figure.draw(renderer)
        return Image.fromarray(pixels[..., :3].copy())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture; the ending of ``path`` decides: .png, .pdf or .svg.

        The file appears whole or not at all, and holds no date: same picture, same bytes.

        Raises:
            MediaError: Another ending, a missing folder, a full disk.
        """
        kind = Path(path).suffix.lower()
        if kind not in {".png", ".pdf", ".svg"}:
            raise MediaError(f"{os.fspath(path)!r}: cannot write {kind!r}, only .png, .pdf, .svg")
        try:
            write_atomically(path, self.to_bytes(kind[1:]))
        except OSError as error:
            raise MediaError(f"cannot write {os.fspath(path)!r}: {error.strerror}") from error

    def to_bytes(self, kind: str) -> bytes:
        """The content of the file that `save` writes; "png", "pdf" or "svg"."""
        return self._repr_png_() if kind == "png" else self._vector(kind)

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.image.save(file, "PNG", compress_level=PNG_LEVEL, dpi=(style.DPI, style.DPI))
        return file.getvalue()

    def _vector(self, kind: str) -> bytes:
        import matplotlib

        file = io.BytesIO()
        undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}[kind]
        # The only way to fixed identifiers and embedded letters; undone when the file is made.
        settings = {"svg.hashsalt": "regard", "pdf.fonttype": 42, "savefig.bbox": None}
        with matplotlib.rc_context(settings):
            figure = self._figure(raster=True)
            figure.savefig(file, format=kind, metadata=undated, dpi=style.DPI)
        return file.getvalue()

    def _figure(self, *, raster: bool = False) -> Any:
        from matplotlib.figure import Figure

        width, height = self.size_wh
        figure = Figure(
            figsize=(width / style.DPI, height / style.DPI), dpi=style.DPI, frameon=False
        )
        axes = figure.add_axes((0, 0, 1, 1), frame_on=False)
        axes.set_axis_off()
        if raster:
            extent = (0, width, height, 0)
            axes.imshow(self.raster, extent=extent, interpolation="none", aspect="auto")
        axes.set(xlim=(0, width), ylim=(height, 0))
        for line in self.drawn:
            _add_line(axes, line)
        for ring in self.rings:
            _add_ring(axes, ring)
        for text in self.texts:
            _add_text(axes, text)
        return figure


@functools.cache
def text_width(words: str, size: float, weight: Weight = "regular") -> float:
    """Width in pixels of one line of type."""
    from matplotlib.textpath import TextToPath

    font = _font(words, weight, size)
    # Points of a picture with 72 dots per inch are its pixels.
    width, _, _ = TextToPath().get_text_width_height_descent(words, font, ismath=False)
    return float(width)


def fit_text(words: str, width: float, size: float, weight: Weight = "regular") -> str:
    """Clean line of type, shortened in its middle to ``width`` pixels: the ends tell most."""
    words = clean(words)
    if text_width(words, size, weight) <= width:
        return words
    least, most = 0, len(words)
    while least < most:  # the largest number of letters that fits
        kept = (least + most + 1) // 2
        if text_width(_shorten(words, kept), size, weight) <= width:
            least = kept
        else:
            most = kept - 1
    return _shorten(words, least)


@functools.cache
def clean(words: str) -> str:
    """One line of characters that the bundled fonts can show; others become a replacement mark."""
    line = " ".join(words.split())
    known = _characters("inter") | _characters("dejavu")
    return "".join(c if ord(c) in known and c.isprintable() else _UNKNOWN for c in line)


def _shorten(words: str, kept: int) -> str:
    if kept >= len(words):
        return words
    tail = kept // 2
    return words[: kept - tail].rstrip() + "…" + words[len(words) - tail :].lstrip()


@functools.cache
def _characters(family: Literal["inter", "dejavu"]) -> frozenset[int]:
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    path = Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    font = FT2Font(str(path if family == "dejavu" else _INTER["regular"]))
    return frozenset(font.get_charmap())


def _font(words: str, weight: Weight, size: float) -> Any:
    """Inter, or DejaVu Sans (which comes with matplotlib) for letters that Inter lacks."""
    from matplotlib import get_data_path
    from matplotlib.font_manager import FontProperties

    if _characters("inter").issuperset(map(ord, words)):
        return FontProperties(fname=str(_INTER[weight]), size=size)
    file = "DejaVuSans-Bold.ttf" if weight == "bold" else "DejaVuSans.ttf"
    return FontProperties(fname=str(Path(get_data_path(), "fonts", "ttf", file)), size=size)


def _add_text(axes: Any, text: Text) -> None:
    from matplotlib.patheffects import withStroke

    points = text.size * 72 / style.DPI
    axes.text(
        text.x,
        text.y,
        text.words,
        color=_unit(text.colour),
        fontproperties=_font(text.words, text.weight, points),
        ha=text.align,
        va="baseline",
        rotation=text.degrees,
        rotation_mode="anchor",
        parse_math=False,
        path_effects=[withStroke(linewidth=0.2 * points, foreground="#141414")]
        if text.halo
        else None,
    )


def _add_line(axes: Any, line: Line) -> None:
    across, down = zip(*line.points, strict=True)
    axes.plot(
        across,
        down,
        color=_unit(line.colour),
        linewidth=line.width * 72 / style.DPI,
        linestyle=(0, (4, 3)) if line.dashed else "solid",
        solid_joinstyle="round",
        solid_capstyle="round",
        clip_on=False,
    )


def _add_ring(axes: Any, ring: Ring) -> None:
    from matplotlib.patches import Circle

    stroke = max(1.0, ring.radius / 4) * 72 / style.DPI
    for colour, width in (((0, 0, 0), 2.2 * stroke), (style.PAPER, stroke)):
        axes.add_patch(
            Circle((ring.x, ring.y), ring.radius, fill=False, lw=width, edgecolor=_unit(colour))
        )


def _unit(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = colour
    return red / 255, green / 255, blue / 255
