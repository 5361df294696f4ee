"""A page: title lines, a body, and the legend below it."""

import math
from collections.abc import Callable, Sequence

from regard.render import style
from regard.render.legend import Legend
from regard.render.picture import Picture, clean, text_width
from regard.render.sheet import Sheet

_TITLE_STEP, _LINE_STEP = 48, 36
LEAST_WIDTH = 720
"""Narrower bodies get white at their right, so that titles and legends have room."""


def draw_page(
    body_wh: tuple[int, int],
    draw_body: Callable[[Sheet, int, int], None],
    legend: Legend | None = None,
    *,
    title: str = "",
    lines: Sequence[str] = (),
) -> Picture:
    """Page around a body of ``body_wh`` pixels, which ``draw_body(sheet, x, y)`` fills."""
    least = max(legend.least_width() if legend else 0, _head_width(title, lines))
    width = max(body_wh[0], least)
    head = head_height(title, lines)
    bottom = style.MARGIN + head + body_wh[1]
    below = round(0.6 * style.MARGIN) + legend.height(width) if legend else 0
    sheet = Sheet(width + 2 * style.MARGIN, bottom + below + style.MARGIN)
    draw_head(sheet, style.MARGIN, style.MARGIN, width, title, lines)
    draw_body(sheet, style.MARGIN, style.MARGIN + head)
    if legend:
        legend.draw(sheet, style.MARGIN, bottom + round(0.6 * style.MARGIN), width)
    return sheet.picture()


def _head_width(title: str, lines: Sequence[str]) -> int:
    """Width that title and lines need, within a page; 0 without any."""
    if not (title or lines):
        return 0
    widths = [text_width(clean(title), style.TITLE, "bold")] if title else []
    widths += [text_width(clean(line), style.TEXT) for line in lines]
    most = style.PAGE_WIDTH - 2 * style.MARGIN
    return min(most, max(LEAST_WIDTH, math.ceil(max(widths))))


def head_height(title: str, lines: Sequence[str]) -> int:
    """Height of title and lines with the space below them; 0 without any."""
    used = (_TITLE_STEP if title else 0) + _LINE_STEP * len(lines)
    return used + 20 if used else 0


def draw_head(sheet: Sheet, x: int, y: int, width: int, title: str, lines: Sequence[str]) -> None:
    """Set title and lines from (x, y) downwards, each shortened to ``width``."""
    if title:
        sheet.text(title, x, y + 30, size=style.TITLE, weight="bold", width=width)
        y += _TITLE_STEP
    for line in lines:
        sheet.text(line, x, y + 24, size=style.TEXT, colour=style.QUIET, width=width)
        y += _LINE_STEP
