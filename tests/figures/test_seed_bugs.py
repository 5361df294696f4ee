"""What is wrong in plots and films of the DVIS attention pipeline, and right here.

Numbers are those of the list of its known faults.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_video import SIZE_HW, centre, disc
from regard.errors import SelectionError
from regard.figures.decoder import DecoderLook
from regard.figures.film import FilmLook, film
from regard.figures.films import render_run
from regard.figures.maps import Maps
from regard.figures.plots import PlotOptions, plot_run
from regard.figures.scaling import FrameScales
from regard.figures.subject import Subject, choose
from regard.runs import RecordedVideo, Run


def test_5_frames_are_not_stretched_to_the_padded_size(salmon: Subject) -> None:
    """The input is 96 x 160, the photo in it 96 x 143: attention stays on the object."""
    for frame in range(8):
        heat = Maps.of(salmon, [8]).smooth(frame, SIZE_HW)
        assert heat is not None
        x = np.arange(SIZE_HW[1]) + 0.5
        total = heat[disc(0, frame)].sum()
        middle = (heat * x)[disc(0, frame)].sum() / total
        # heads look 0 and 6 px to the right of the centre; stretching would move by up to 16
        assert middle == pytest.approx(centre(0, frame)[0] + 2, abs=2.5)
    (picture, *_) = film(salmon, salmon.video.frames(), how=FilmLook(width_px=SIZE_HW[1]))
    assert picture.width == SIZE_HW[1]


def test_6_extremes_are_of_the_whole_video_not_of_a_window(salmon: Subject) -> None:
    maps = Maps.of(salmon, [8])
    values = {frame: cells.values for frame in range(8) if (cells := maps.cells(frame))}
    tops = {frame: float(of.max()) for frame, of in values.items()}
    found = FrameScales.of("across_frames", values.items())
    assert found.scale(0).high == found.scale(7).high == max(tops.values())
    windows = [max(tops[frame] for frame in window) for window in salmon.video.story.windows]
    assert windows[0] != windows[1], "a scale for each window would differ"


def test_6_every_plot_and_film_has_its_scale_on_it(run: Run) -> None:
    from regard.figures.decoder import draw_decoder
    from regard.figures.plots import read_photos

    (found,) = choose(run.video("discs"))
    for scaling in ("across_frames", "temporal_across_frames", "temporal_per_frame"):
        picture = draw_decoder(
            found, read_photos(found.video, [3]), [8], DecoderLook(scaling=scaling)
        )
        assert any("uniform" in line or "range" in line for line in picture.lines)


def test_7_a_birth_frame_has_its_own_attention(discs: RecordedVideo, trout: Subject) -> None:
    """The track is born in frame 2 as a candidate; frame 0 is no copy of frame 1."""
    assert discs.query_of(1, 2) == 3
    assert Maps.of(trout).cells(2) is not None
    first, second = (discs.tracker(-1, 0, frame) for frame in (0, 1))
    assert first is not None
    assert second is not None
    assert not np.array_equal(first, second)


def test_8_a_scale_that_one_video_cannot_have_is_told_and_kept_for_the_next(run: Run) -> None:
    told: list[Exception] = []
    options = PlotOptions(decoder=DecoderLook(scaling="temporal_per_frame"))
    paths = list(
        plot_run(
            run, "decoder", videos=["online", "discs"], options=options, on_failure=told.append
        )
    )
    assert [path.name for path in paths] == [
        "decoder_instance_0_heatmap_temporal_per_frame.png",
    ]
    assert paths[0].parent.name == "discs"
    assert "online model" in str(told[0])
    with pytest.raises(SelectionError, match="online model"):
        list(plot_run(run, "decoder", videos=["online"], options=options))


def test_9_mixing_can_take_any_layer_head_or_all_layers(discs: RecordedVideo) -> None:
    """Through all layers, attention among tracks and residuals count as well."""

    def cells(**options: Any) -> np.ndarray:
        found = Maps.of(choose(discs, instances=[1], **options)[0], [8]).cells(4)
        assert found is not None
        return found.values

    kinds = [
        cells(),
        cells(tracker_layer=0),
        cells(mixing="rollout"),
        cells(mixing="top"),
        cells(decoder_head=1),
    ]
    for index, one in enumerate(kinds):
        for other in kinds[index + 1 :]:
            assert not np.allclose(one, other)


def test_10_frames_outside_of_the_life_are_told_apart(trout: Subject) -> None:
    assert trout.alive().tolist() == [False] * 2 + [True] * 4 + [False] * 2
    weights = trout.frame_weights()
    assert float(weights[0]) > 0, "the model weighs them all the same"


def test_11_any_prediction_is_shown_wherever_the_frames_lie(run: Run, tmp_path: Path) -> None:
    """Images are found by what the run says or by --images, not by words in a path."""
    chosen = {"instances": [1, 3]}
    paths = list(render_run(run, videos=["discs"], chosen=chosen, how=FilmLook(width_px=64)))
    assert [path.name for path in paths] == ["instance_1.mp4", "instance_3.mp4"]
    moved = tmp_path / "no-camera-here"
    source = run.video("discs")._content.source
    assert source is not None
    moved.symlink_to(source)
    paths = list(render_run(run, videos=["discs"], images=moved, how=FilmLook(width_px=64)))
    assert paths[0].is_file()
