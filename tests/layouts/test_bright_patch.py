"""The token that changes most when a place is made bright is the one that its layout names."""

import pytest
from torch import Tensor

from layouts.models import Row
from layouts.perturbation import brightened, change, run
from layouts.rows import ROWS
from regard import PyramidTokens, Recording, Tokens
from regard.errors import GeometryError
from regard.layouts.lay_out import lay_out
from regard.recording import matches

PLACES = ((0.1, 0.15), (0.93, 0.4), (0.4, 0.9))
"""As parts of width and height."""


@pytest.mark.filterwarnings("ignore:.*FluxPosEmbed", "ignore:In CPU autocast")  # of diffusers
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_token_that_changes_most_is_the_one_at_the_place(row: Row) -> None:
    model, pixels, inputs = row.build()
    plain = run(model, inputs(pixels))
    unplaced = lay_out(plain, model, inputs(pixels))
    assert {item.layer.split(".")[-1] for item in unplaced} == set(row.unplaced), unplaced
    for number, parts in enumerate(PLACES):
        axis = row.picture_axis
        picture = 0 if axis is None else number % pixels.shape[axis]
        square = place(parts, pixels, row)
        bright = run(model, inputs(brightened(pixels, square, picture, axis)))
        assert check(plain, bright, square, picture, row) == row.placed


def place(parts: tuple[float, float], pixels: Tensor, row: Row) -> tuple[int, int, int, int]:
    """The square that is made bright: (left, top, right, bottom), inside one cell of 4 pixels."""
    step = row.corner or 4
    height, width = pixels.shape[-2:]
    x, y = (
        int(part * side / step) * step for part, side in zip(parts, (width, height), strict=True)
    )
    start = (step - 1 if row.last else 0) if row.corner else 1
    return x + start, y + start, x + start + row.side, y + start + row.side


def check(
    plain: Recording, bright: Recording, square: tuple[int, int, int, int], picture: int, row: Row
) -> int:
    """How many axes were checked."""
    checked: set[tuple[int, str]] = set()
    for number, (before, after) in enumerate(zip(plain, bright, strict=True)):
        for axis in ("queries", "keys"):
            tokens = getattr(before, axis)
            if not tokens.has_places or any(matches(before.layer, glob) for glob in row.skip):
                continue
            changed = change(before, after, axis)
            x, y = square[0] + 0.5, square[1] + 0.5
            if isinstance(tokens, PyramidTokens):
                check_levels(changed[0], tokens, square)
                checked = checked | {(number, axis)}
                continue
            for part, index in located(tokens, len(changed), x, y, picture, row.crops):
                found = changed[part] if row.crops else changed
                expected = index if row.crops else part * tokens.count + index
                assert int(found.argmax()) == expected, (before, axis, part, index)
                x0, y0, x1, y1 = tokens.part(part).box_xyxy(index)
                assert x0 <= square[0] < square[2] <= x1, (before, axis)
                assert y0 <= square[1] < square[3] <= y1, (before, axis)
                checked = checked | {(number, axis)}
    return len(checked)


def check_levels(changed: Tensor, tokens: PyramidTokens, square: tuple[int, int, int, int]) -> None:
    """On each level of a pyramid, the cell at the place changes most."""
    x, y = square[0] + 0.5, square[1] + 0.5
    for level in range(len(tokens.levels)):
        expected = tokens.at(x, y, level=level)
        cells = tokens.level_weights(changed, level).flatten()
        first = tokens.index(level, 0, 0)
        assert first + int(cells.argmax()) == expected, level
        x0, y0, x1, y1 = tokens.box_xyxy(expected)
        assert x0 <= square[0] < square[2] <= x1
        assert y0 <= square[1] < square[3] <= y1


def located(
    tokens: Tokens, batch: int, x: float, y: float, picture: int, crops: bool
) -> list[tuple[int, int]]:
    """Place in the batch and index of the tokens at a point; none, if it is in another call.

    A layout of one picture is that of each picture of a batch.
    """
    alone = tokens.pictures == (0,) and batch > 1
    picture, first = (0, picture * tokens.parts) if alone else (picture, 0)
    if crops:
        parts = [tokens.part(i) for i in range(tokens.parts)]
        return [(i, found) for i, part in enumerate(parts) for found in at(part, x, y)]
    if tokens.parts == 1:
        return [(first, index) for index in at(tokens, x, y, picture)]
    part, index = tokens.locate(x, y, picture=picture)
    return [(first + part, index)]


def at(tokens: Tokens, x: float, y: float, picture: int = 0) -> list[int]:
    """The token at a point, if it is one of these: layers may make one call a window or frame."""
    try:
        return [tokens.at(x, y, picture=picture)]
    except GeometryError as error:
        text = str(error)
        assert "lies in another window" in text or "no token lies on picture" in text
        return []
