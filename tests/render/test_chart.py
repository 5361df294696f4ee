"""Charts over frames."""

from collections.abc import Callable

import numpy as np
import pytest

from regard.errors import GeometryError
from regard.render import Picture
from regard.render.chart import SHADE, Chart, Curve, draw_chart

Golden = Callable[[Picture, str], None]
VALUES = np.array([0.1, 0.4, np.nan, 0.2, 0.3, 0.25], np.float32)


def test_lines_with_gaps_and_shaded_frames(golden: Golden) -> None:
    chart = Chart(
        curves=[Curve(VALUES, "weight"), Curve(VALUES[::-1], "rollout", dashed=True)],
        shaded=[False, True, True, True, False, False],
        shade_name="lives",
        axes=("frame", "share"),
        size_wh=(700, 300),
    )
    golden(draw_chart(chart, title="Frames that count", lines=["a clip"]), "chart")


def test_bars_go_up_and_down_from_zero(golden: Golden) -> None:
    chart = Chart(
        curves=[Curve([0.3, -0.2, 0.1, 0])],
        bars=True,
        mark=2,
        axes=("frame", "logit"),
        size_wh=(500, 260),
    )
    golden(draw_chart(chart), "chart_bars")


def test_values_are_where_the_axis_says() -> None:
    chart = Chart(curves=[Curve([0, 2, 4])], size_wh=(600, 300))
    picture = draw_chart(chart)
    curve = picture.drawn[-1].points
    left, top, right, bottom = chart.plot_box
    heights = [point[1] - 48 for point in curve]
    assert heights == pytest.approx([bottom, (top + bottom) / 2, top])
    across = [point[0] - 48 for point in curve]
    assert across == pytest.approx([left + (right - left) * part / 6 for part in (1, 3, 5)])


def test_the_shade_covers_its_frames() -> None:
    chart = Chart(curves=[Curve([1, 1, 1, 1])], shaded=[True, False, False, True])
    picture = draw_chart(chart)
    row = picture.raster[48 + (chart.plot_box[1] + chart.plot_box[3]) // 2]
    tinted = [tuple(row[round(48 + chart.across(frame))]) == SHADE for frame in range(4)]
    assert tinted == [True, False, False, True]


def test_long_axes_name_some_frames() -> None:
    names = [str(1000 + frame) for frame in range(300)]
    lines = draw_chart(Chart(curves=[Curve(np.ones(300))], names=names)).lines
    assert {"1000", "1020", "1280"} <= set(lines)
    assert "1010" not in lines


def test_a_picture_with_lines_can_be_saved_as_vectors() -> None:
    svg = draw_chart(Chart(curves=[Curve([1, 2])])).to_bytes("svg")
    assert svg == draw_chart(Chart(curves=[Curve([1, 2])])).to_bytes("svg")
    assert b"<path" in svg


def test_curves_must_fit_together() -> None:
    with pytest.raises(GeometryError, match=r"curves of \[2, 3\] frames"):
        Chart(curves=[Curve([1, 2]), Curve([1, 2, 3])])
    with pytest.raises(GeometryError, match="1 names for 2 frames"):
        Chart(curves=[Curve([1, 2])], names=["a"])


def test_numbers_of_the_axis_do_not_meet_near_zero() -> None:
    """An end that lies just beside 0 has no number of its own."""
    values = np.array([-0.02, 1.0, 0.4], np.float32)
    assert Chart(curves=[Curve(values)])._ticks == (0.0, 1.0)
    assert Chart(curves=[Curve(-values)])._ticks == (-1.0, 0.0)
    assert len(Chart(curves=[Curve(np.array([-1.0, 1.0], np.float32))])._ticks) == 3
