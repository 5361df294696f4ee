"""The line below a picture that says what its colours and patterns mean."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from regard.render import style
from regard.render.arrays import Pixels
from regard.render.colour import NOTHING, Scale, number
from regard.render.field import Place
from regard.render.look import Look, Unit
from regard.render.picture import text_width
from regard.render.sheet import Sheet
from regard.render.style import Colour
from regard.render.tile import draw_bar, draw_swatch

_WORDS: dict[Unit, str] = {
    "uniform": "\N{MULTIPLICATION SIGN} uniform",
    "weight": "weight per pixel",
    "value": "value",
}


def high_words(scale: Scale) -> str:
    """Upper end of a scale in words; "≥" where larger values take the last colour."""
    return f"{'≥ ' if scale.clips_high else ''}{number(scale.high)}"


def range_words(scale: Scale) -> str:
    """Both ends of a scale, or only the upper one where the lower is 0, in words."""
    if scale is NOTHING:
        return "no values"
    low = "" if scale.low == 0 else f"{number(scale.low)} to "
    return low + high_words(scale)


@dataclass(frozen=True, kw_only=True)
class Legend:
    """A colour bar and samples of the patterns, in as many lines as the width needs."""

    scale: Scale | None
    """Scale of all panels; None where each has its own, written beside it."""
    look: Look
    places: tuple[Place, ...]
    over_photo: bool
    """Whether the bar shows colours as they look over a photo."""
    words: str | None = None
    """Words for the unit; by default the look's."""
    zoom: float = 1.0
    """Size of bar and type over the usual."""
    elsewhere: str = "number below each panel"
    """Where the upper end stands if panels have their own scales."""
    levels: Sequence[tuple[float, str, Colour]] = ()
    """Plain colours with their words, in place of the bar."""

    def height(self, width: float) -> int:
        """Height in pixels when set in ``width``."""
        return round(len(self._lines(width)) * self._pitch - 0.35 * self._pitch)

    def least_width(self) -> int:
        """Width of its widest part, so that nothing is cut off."""
        return max(round(part) for part in self._widths())

    def draw(self, sheet: Sheet, x: int, y: int, width: float) -> None:
        """Draw it with its upper left corner at (x, y)."""
        for row, parts in enumerate(self._lines(width)):
            at = float(x)
            baseline = y + row * self._pitch + 0.74 * self._size
            for part in parts:
                self._draw_part(sheet, part, at, baseline)
                at += self._widths()[part] + 1.6 * self._size

    @property
    def _size(self) -> float:
        return style.SMALL * self.zoom

    @property
    def _pitch(self) -> float:
        return 1.7 * self._size

    @property
    def _bar_wh(self) -> tuple[int, int]:
        return round(style.BAR_WIDTH * self.zoom), round(style.BAR_HEIGHT * self.zoom)

    def _bar_words(self) -> tuple[str, str, str]:
        unit = self.words or _WORDS[self.look.unit]
        if self.scale is None:
            return "0", self.elsewhere, unit
        if self.scale.clips_high:
            unit += f" (largest {number(self.scale.largest)})"
        return number(self.scale.low), high_words(self.scale), unit

    def _swatches(self) -> list[tuple[str, Pixels]]:
        """Words and sample of each level and place."""
        height = self._bar_wh[1]
        plain = [
            (words, np.full((height, 2 * height, 3), colour, np.uint8))
            for _, words, colour in self.levels
        ]
        hatched = [
            (place.words, draw_swatch(place, (2 * height, height), self.zoom))
            for place in self.places
        ]
        return [*plain, *hatched]

    def _widths(self) -> list[float]:
        gap = 0.45 * self._size
        low, high, unit = (text_width(words, self._size) for words in self._bar_words())
        bar = low + gap + self._bar_wh[0] + gap + high + gap + unit
        swatch = self._bar_wh[1] * 2 + gap
        plain = [swatch + text_width(words, self._size) for words, _ in self._swatches()]
        return plain if self.levels else [bar, *plain]

    def _lines(self, width: float) -> list[list[int]]:
        """Parts in order, broken where the next one does not fit."""
        lines: list[list[int]] = [[]]
        used = 0.0
        for part, part_width in enumerate(self._widths()):
            if lines[-1] and used + part_width > width:
                lines.append([])
                used = 0.0
            lines[-1].append(part)
            used += part_width + 1.6 * self._size
        return lines

    def _draw_part(self, sheet: Sheet, part: int, x: float, baseline: float) -> None:
        gap = 0.45 * self._size
        width, height = self._bar_wh
        top = round(baseline - 0.36 * self._size - height / 2)
        if part > 0 or self.levels:
            words, pixels = self._swatches()[part if self.levels else part - 1]
            sheet.panel(pixels, round(x), top)
            words_at = x + 2 * height + gap
            sheet.text(words, words_at, baseline, size=self._size, colour=style.QUIET)
            return
        low, high, unit = self._bar_words()
        sheet.text(low, x, baseline, size=self._size)
        x += text_width(low, self._size) + gap
        sheet.panel(draw_bar((width, height), self.look, over_photo=self.over_photo), round(x), top)
        x += width + gap
        sheet.text(high, x, baseline, size=self._size)
        x += text_width(high, self._size) + gap
        sheet.text(unit, x, baseline, size=self._size, colour=style.QUIET)


def all_places(places: Iterable[tuple[Place, ...]]) -> tuple[Place, ...]:
    """Every kind of place that occurs, each once, in a fixed order."""
    found = {place for some in places for place in some}
    return tuple(sorted(found, key=lambda place: place.words))
