"""Where the predictor looks, as people see it."""

from typing import Any

import pytest

from made_video import photos
from regard.errors import SelectionError
from regard.figures.decoder import DecoderLook, draw_decoder
from regard.figures.subject import Subject, choose
from regard.render.cells import View
from regard.render.look import Look
from regard.runs import RecordedVideo

Golden = Any


def test_layers_below_each_other(trout: Subject, golden: Golden) -> None:
    picture = draw_decoder(trout, photos(1, 4), [6, 8])
    golden(picture, "decoder_heatmap")
    assert "mean of layers 6, 8 · 0.083 to 11.4" in picture.lines
    assert picture.lines.count("it does not live here") == 3, "in frame 1: the mean, two layers"


@pytest.mark.parametrize("view", ["grid_heatmap", "heatmap_num", "grid"])
def test_views_by_cell(salmon: Subject, golden: Golden, view: View) -> None:
    how = DecoderLook(view=view, look=Look(high="max"))
    golden(draw_decoder(salmon, photos(2, 6), [7], how), f"decoder_{view}")


def test_each_frame_on_its_own_scale_has_its_range_below(trout: Subject) -> None:
    how = DecoderLook(scaling="per_frame", look=Look(high="max"))
    lines = draw_decoder(trout, photos(2, 3), [8], how).lines
    assert "layer 8" in lines
    assert {"0.0848 to 16.8", "0.0912 to 15.8"} <= set(lines)
    assert "number below each panel" in lines


def test_temporal_scales_say_their_unit(salmon: Subject) -> None:
    times = "\N{MULTIPLICATION SIGN}"
    how = DecoderLook(scaling="temporal_across_frames")
    assert (
        f"{times} uniform {times} the frame's weight"
        in draw_decoder(salmon, photos(3), [8], how).lines
    )


def test_the_scale_does_not_depend_on_which_frames_are_shown(salmon: Subject) -> None:
    one, many = (draw_decoder(salmon, photos(*shown), [8]) for shown in ((1,), (1, 5, 7)))
    assert set(one.scales) == set(many.scales)


def test_many_frames_take_several_rows(salmon: Subject) -> None:
    picture = draw_decoder(salmon, photos(*range(8)), [8])
    assert [line for line in picture.lines if line.startswith("frame ")] == [
        f"frame {frame}" for frame in range(8)
    ]
    assert picture.size_wh[0] <= 1600


def test_numbers_of_small_cells_stand_for_blocks(salmon: Subject) -> None:
    how = DecoderLook(view="heatmap_num")
    lines = draw_decoder(salmon, photos(0, 1, 2, 3, 4), [8], how).lines
    assert any("largest of 2 x 2 cells" in line for line in lines)


def test_an_object_query_can_be_shown(discs: RecordedVideo) -> None:
    (query,) = choose(discs, query=2)
    picture = draw_decoder(query, photos(0, 7))
    assert "Where the model looks for object query 2" in picture.lines


def test_how_attention_was_put_together_is_written(discs: RecordedVideo) -> None:
    (rolled,) = choose(discs, mixing="rollout")
    assert any("tracker rollout" in line for line in draw_decoder(rolled, photos(3), [8]).lines)
    (top,) = choose(discs, mixing="top", masked=False)
    lines = draw_decoder(top, photos(3), [8]).lines
    assert any("top object query · masks left open" in line for line in lines)


def test_frames_outside_of_its_life_alone_are_refused(trout: Subject) -> None:
    with pytest.raises(SelectionError, match="lives in frames 2 to 5, none of which is shown"):
        draw_decoder(trout, photos(0, 7))


def test_an_unknown_view_is_refused() -> None:
    with pytest.raises(SelectionError, match="view is 'dots'"):
        DecoderLook(view="dots")  # type: ignore[arg-type]
