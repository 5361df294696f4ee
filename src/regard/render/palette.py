"""Colours that tell things apart: parts, segments, tracks."""

import math

import numpy as np

from regard.render.style import Colour

_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
_FIRST_HUE = 4.3  # blue, which stands out on skin, wood and grass
_LIGHTNESS = (0.66, 0.78, 0.55)
_CHROMA = 0.16


def distinct(index: int) -> Colour:
    """The colour of the thing with this index: neighbours differ most, and it never changes.

    Hues step by the golden angle, so that any number of first colours lies far apart; lightness
    takes turns, so that they differ for those who see fewer hues. In OKLCH (Ottosson 2020), where
    equal steps look equal.
    """
    hue = _FIRST_HUE + index * _GOLDEN_ANGLE
    return _srgb(_LIGHTNESS[index % 3], _CHROMA * math.cos(hue), _CHROMA * math.sin(hue))


def _srgb(lightness: float, a: float, b: float) -> Colour:
    """OKLab to 8-bit sRGB; what lies outside is clipped."""
    roots = np.array(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ]
    )
    matrix = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(matrix @ roots**3, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = np.rint(encoded * 255).astype(int).tolist()
    return red, green, blue
