"""What stays the same on every picture of a film: names, colour bar, curve; and where panels go."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from PIL import Image

from regard.render import style
from regard.render.chart import Chart
from regard.render.contour import line_width
from regard.render.legend import Legend
from regard.render.picture import clean, text_width
from regard.render.sheet import Sheet

_WIDEST = 1920
_LEAST_SIDE = 480
_NAME_HEIGHT = 34
_PAD = 12
_LEAST_TYPE = 12
_LEAST_CHART = 320
"""Width that a curve needs; narrower panels stand in the middle above it."""


def panel_wh(size_hw: tuple[int, int], panels: int, width_px: int | None = None) -> tuple[int, int]:
    """Size of a panel: that of the video, larger if it is small, smaller if many stand together."""
    height, width = size_hw
    if width_px is None:
        room = (_WIDEST - (panels - 1) * style.GAP) / panels
        whole = max(1, -(-_LEAST_SIDE // max(height, width)))
        width_px = int(min(room, width * whole))
    shown = max(16, width_px)
    return shown + shown % 2, max(2, 2 * round(shown * height / width / 2))


@dataclass(eq=False, kw_only=True)
class FilmCanvas:
    """The canvas; sides are even, as video wants them."""

    panel_wh: tuple[int, int]
    names: Sequence[str]
    """Of the panels, above them; none for a panel alone."""
    legend: Legend
    chart: Chart | None
    _bands: list[tuple[Image.Image, int]] = field(init=False, repr=False)
    """What is not covered by a panel, and where it begins from the top."""
    _size_wh: tuple[int, int] = field(init=False, repr=False)
    _left: int = field(init=False, repr=False, default=0)
    _chart_xy: tuple[int, int] = field(init=False, repr=False, default=(0, 0))

    def __post_init__(self) -> None:
        panels = max(1, len(self.names))
        row = panels * (self.panel_wh[0] + style.GAP) - style.GAP
        width = max(row, _LEAST_CHART if self.chart is not None else 0)
        self._left = (width - row) // 2
        below = self._top + self.panel_wh[1] + _PAD
        legend = self.legend
        zoom = min(1.0, (width - 2 * _PAD) / legend.least_width())
        legend = replace(legend, zoom=zoom)
        legend_height = legend.height(width - 2 * _PAD)
        chart_height = self.chart.size_wh[1] + _PAD if self.chart is not None else 0
        height = below + chart_height + legend_height + _PAD
        sheet = Sheet(width + width % 2, height + height % 2)
        self._write_names(sheet)
        if self.chart is not None:
            self.chart = replace(self.chart, size_wh=(width - 2 * _PAD, self.chart.size_wh[1]))
            self._chart_xy = (_PAD, below)
            self.chart.draw(sheet, *self._chart_xy)
        legend.draw(sheet, _PAD, below + chart_height, width - 2 * _PAD)
        self._bands = self._cut(sheet.picture().image, row)

    def _cut(self, ground: Image.Image, row: int) -> list[tuple[Image.Image, int]]:
        """Bands of the ground: what a panel of the full width covers need not be copied."""
        self._size_wh = width, height = ground.size
        ends = [(0, self._top), (self._top + self.panel_wh[1], height)]
        if len(self.names) > 1 or row < width:
            ends = [(0, height)]
        return [(ground.crop((0, a, width, b)), a) for a, b in ends if a < b]

    def _write_names(self, sheet: Sheet) -> None:
        """In type of one size, smaller where the longest name does not fit, within reason."""
        room = self.panel_wh[0] - 2 * _PAD
        widest = max((text_width(clean(n), style.SMALL, "bold") for n in self.names), default=0.0)
        size = max(_LEAST_TYPE, style.SMALL * min(1.0, room / max(1.0, widest)))
        for place, name in enumerate(self.names):
            left = self._left + place * (self.panel_wh[0] + style.GAP) + _PAD
            sheet.text(name, left, 24, size=size, weight="bold", width=room)

    @property
    def line_px(self) -> int:
        """Width of lines around instances."""
        return line_width(self.panel_wh)

    @property
    def _top(self) -> int:
        return _NAME_HEIGHT if self.names else 0

    def filled(self, panels: Sequence[Image.Image], *, cursor: int) -> Image.Image:
        """The canvas with panels on it, and the cursor of the curve at a frame."""
        picture = Image.new("RGB", self._size_wh, None)
        for band, top in self._bands:
            picture.paste(band, (0, top))
        for place, panel in enumerate(panels):
            left = self._left + place * (self.panel_wh[0] + style.GAP)
            picture.paste(panel, (left, self._top))
        if self.chart is not None:
            _, top, _, bottom = self.chart.plot_box
            x, y = self._chart_xy
            at = x + round(self.chart.across(cursor))
            picture.paste(style.INK, (at - 1, y + top, at + 2, y + bottom))
        return picture
