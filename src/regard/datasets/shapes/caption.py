"""What a scene shows, in words of a small fixed grammar.

- one object: "a large red disc on grass"
- two: "a large red disc left of a small blue star", or "above": whichever way they lie farther
  apart; the left or the upper one comes first
- more: "a large red disc and a small blue star and a small green ring", from left to right
"""

from collections.abc import Sequence

from regard.datasets.shapes.figure import Figure
from regard.datasets.shapes.placing import size_of

Words = list[tuple[str, int | None]]
"""Each word with the number of the figure that it speaks of."""


def describe(figures: Sequence[Figure], ground: str) -> Words:
    """The words for figures; ``ground`` is the stuff behind the first."""
    if len(figures) == 1:
        return [*_named(0, figures[0]), ("on", None), (ground, None)]
    order = sorted(range(len(figures)), key=lambda i: figures[i].x)
    between: Words = [("and", None)]
    if len(figures) == 2:
        across = abs(figures[0].x - figures[1].x)
        beside = across > abs(figures[0].y - figures[1].y)
        order = order if beside else sorted(order, key=lambda i: figures[i].y)
        between = [("left", None), ("of", None)] if beside else [("above", None)]
    words = _named(order[0], figures[order[0]])
    for number in order[1:]:
        words += [*between, *_named(number, figures[number])]
    return words


def _named(number: int, figure: Figure) -> Words:
    own = (size_of(figure), figure.colour, figure.kind)
    return [("a", None), *((word, number) for word in own)]
