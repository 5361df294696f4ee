from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from regard.render import Look, Picture, draw_heatmap
from regard.render.colour import colour_table

Heat = npt.NDArray[np.float32]
Golden = Callable[[Picture, str], None]


def test_heatmap(heat: Heat, golden: Golden) -> None:
    heat = heat.copy()
    heat[:, 70:] = np.nan
    masked = np.zeros(heat.shape, bool)
    masked[:20] = True
    golden(draw_heatmap(heat, masked=masked, look=Look(unit="weight")), "heatmap")


def test_bare_pixels_are_entries_of_the_colour_map() -> None:
    values = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    look = Look(cmap="viridis", high="max", unit="value")
    picture = draw_heatmap(values, legend=False, look=look)
    expected = np.rint(colour_table("viridis")).reshape(16, 16, 3)
    np.testing.assert_array_equal(np.asarray(picture.image), expected)


def test_the_unit_changes_the_numbers_and_not_the_picture(heat: Heat) -> None:
    uniform, weight = (
        draw_heatmap(heat, legend=False, look=Look(unit=unit)) for unit in ("uniform", "weight")
    )
    assert uniform.scales != weight.scales
    # the scale is multiplied in float32: a value between two colours may take the other
    difference = np.abs(uniform.raster.astype(int) - weight.raster)
    assert difference.max() <= 4
