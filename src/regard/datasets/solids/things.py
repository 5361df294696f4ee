"""What there is in the world of solids: eight kinds of toys, each of two to four parts.

A kind is a function that draws lengths from a random generator and stacks bodies from the ground
up; parts are listed in that order. Lengths are in any unit: `solid` scales the whole.
"""

from collections.abc import Callable

import numpy as np

from regard.datasets.solids.distance import Ball, Body, Box, Cone, Dome, Ring

Parts = list[tuple[str, list[Body]]]
"""Name and bodies of each part, from the ground up."""


class _Draw:
    """Lengths, drawn evenly from a range."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random

    def __call__(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))

    def chance(self, share: float) -> bool:
        return bool(self.random.random() < share)


def _column(bottom: float, height: float, low: float, high: float, rounding: float = 0.03) -> Cone:
    """A cone or cylinder that stands on a height and reaches up from there."""
    half = height / 2
    return Cone(
        centre=(0.0, bottom + half, 0.0),
        half_height=half - rounding,
        bottom=low - rounding,
        top=max(high - rounding, 0.0),
        rounding=rounding,
    )


def _ball(bottom: float, radius: float) -> Ball:
    return Ball(centre=(0.0, bottom + radius, 0.0), radii=(radius, radius, radius))


def _table(draw: _Draw) -> Parts:
    height, wide, deep, thick = draw(0.6, 1.1), draw(0.7, 1.0), draw(0.55, 0.8), draw(0.26, 0.4)
    leg = draw(0.15, 0.21)
    legs = Cone(
        centre=(wide - leg - 0.06, height / 2, deep - leg - 0.06),
        half_height=height / 2 - 0.03,
        bottom=leg - 0.03,
        top=leg - 0.03,
        fourfold=True,
    )
    top = Box(centre=(0.0, height + thick / 2, 0.0), half=(wide, thick / 2, deep), rounding=0.06)
    parts: Parts = [("legs", [legs]), ("top", [top])]
    if draw.chance(0.6):
        parts.append(("bowl", [_column(height + thick, draw(0.4, 0.6), 0.24, draw(0.35, 0.48))]))
    return parts


def _lamp(draw: _Draw) -> Parts:
    foot, pole, shade = draw(0.22, 0.34), draw(0.6, 1.0), draw(0.6, 0.85)
    wide = draw(0.55, 0.75)
    return [
        ("foot", [_column(0.0, foot, draw(0.5, 0.65), 0.4, 0.06)]),
        ("pole", [_column(foot, pole, draw(0.15, 0.22), draw(0.15, 0.22))]),
        ("shade", [_column(foot + pole, shade, wide, draw(0.3, 0.45))]),
    ]


def _mushroom(draw: _Draw) -> Parts:
    soil, stem, cap = draw(0.2, 0.32), draw(0.6, 1.0), draw(0.5, 0.8)
    wide = draw(0.65, 0.9)
    stands = 0.0
    parts: Parts = []
    if draw.chance(0.5):
        parts.append(("soil", [_column(0.0, soil, draw(0.6, 0.8), 0.5, 0.08)]))
        stands = soil
    parts.append(("stem", [_column(stands, stem, draw(0.26, 0.42), draw(0.2, 0.32), 0.05)]))
    dome = Dome(centre=(0.0, stands + stem + cap / 2, 0.0), radii=(wide, cap, wide))
    return [*parts, ("cap", [dome])]


def _snowman(draw: _Draw) -> Parts:
    radius, height = draw(0.55, 0.7), 0.0
    parts: Parts = []
    names = ["body", "chest", "head"] if draw.chance(0.5) else ["body", "head"]
    for name in names:
        parts.append((name, [_ball(height, radius)]))
        height += 1.72 * radius
        radius *= draw(0.7, 0.82)
    brim = draw(0.28, 0.4)
    parts.append(("hat", [_column(height - 0.05, draw(0.4, 0.65), brim, draw(0.1, brim))]))
    return parts


def _tree(draw: _Draw) -> Parts:
    trunk, radius, height = draw(0.4, 0.7), draw(0.65, 0.85), draw(0.55, 0.75)
    parts: Parts = [("trunk", [_column(0.0, trunk, draw(0.18, 0.26), draw(0.16, 0.22))])]
    round_crown, bottom = draw.chance(0.4), trunk
    for name in ("lower crown", "middle crown", "upper crown")[: 3 if draw.chance(0.4) else 2]:
        if round_crown:
            flat = 0.62 * radius
            body: Body = Ball(centre=(0.0, bottom + flat, 0.0), radii=(radius, flat, radius))
            bottom += 1.8 * flat
        else:
            body = _column(bottom, height, radius, 0.4 * radius, 0.04)
            bottom += height
        parts.append((name, [body]))
        radius *= draw(0.68, 0.8)
    return parts


def _tower(draw: _Draw) -> Parts:
    half, height = draw(0.5, 0.65), 0.0
    tower: Parts = []
    for name in ("ground floor", "upper floor"):
        tall = draw(0.5, 0.85)
        body = Box(centre=(0.0, height + tall / 2, 0.0), half=(half, tall / 2, half), rounding=0.05)
        tower.append((name, [body]))
        height += tall
        half *= draw(0.65, 0.8)
    roof = draw(0.45, 0.7)
    tower.append(("roof", [_column(height, roof, 1.35 * half, 0.06)]))
    if draw.chance(0.4):
        tower.append(("ball", [_ball(height + roof - 0.06, draw(0.2, 0.28))]))
    return tower


def _cart(draw: _Draw) -> Parts:
    wheel, wide, deep = draw(0.28, 0.38), draw(0.75, 1.0), draw(0.42, 0.55)
    wheels = Cone(
        centre=(wide - 0.9 * wheel, wheel, deep),
        half_height=0.1,
        bottom=wheel - 0.03,
        top=wheel - 0.03,
        lies=True,
        fourfold=True,
    )
    floor, tall = 1.25 * wheel, draw(0.35, 0.55)
    body = Box(
        centre=(0.0, floor + tall / 2, 0.0), half=(wide, tall / 2, deep - 0.14), rounding=0.06
    )
    top = floor + tall
    radius = draw(0.27, 0.4)
    load: Body = _ball(top, radius)
    if draw.chance(0.5):
        half = (draw(0.35, 0.6), draw(0.2, 0.32), deep - 0.2)
        load = Box(centre=(0.0, top + half[1], 0.0), half=half, rounding=0.05)
    return [("wheels", [wheels]), ("body", [body]), ("load", [load])]


def _cake(draw: _Draw) -> Parts:
    radius, height = draw(0.75, 0.95), 0.0
    parts: Parts = []
    for name in ("lower layer", "upper layer"):
        tall = draw(0.35, 0.6)
        parts.append((name, [_column(height, tall, radius, radius, 0.05)]))
        height += tall
        radius *= draw(0.6, 0.78)
    tube = draw(0.13, 0.17)
    ring = Ring(centre=(0.0, height + tube, 0.0), radius=max(radius - tube, 0.26), tube=tube)
    candle = _column(height, draw(0.5, 0.75), 0.14, 0.14)
    if draw.chance(0.5):
        return [*parts, ("ring", [ring])]
    return [*parts, ("candle", [candle])]


KINDS: dict[str, Callable[[_Draw], Parts]] = {
    "cake": _cake,
    "cart": _cart,
    "lamp": _lamp,
    "mushroom": _mushroom,
    "snowman": _snowman,
    "table": _table,
    "tower": _tower,
    "tree": _tree,
}


def draw_parts(kind: str, random: np.random.Generator) -> Parts:
    """The parts of a thing of a kind, from the ground up."""
    return KINDS[kind](_Draw(random))
