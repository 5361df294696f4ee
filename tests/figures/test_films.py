"""Films of a run in their folder."""

from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from regard.errors import SelectionError
from regard.figures.film import FilmLook
from regard.figures.films import overlapping, render_run
from regard.figures.subject import choose
from regard.runs import RecordedVideo, Run

SMALL = FilmLook(width_px=64)


def test_a_film_has_all_frames_at_any_rate(run: Run) -> None:
    (path,) = render_run(run, videos=["discs"], fps=12.5, how=SMALL)
    assert path == run.path / "videos" / "discs" / "instance_0.mp4"
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == ("h264", 12.5)
        assert len(list(container.decode(stream))) == 8


def test_a_gif_has_all_frames(run: Run) -> None:
    (path,) = render_run(run, videos=["discs"], fps=5, how=SMALL, file_type="gif")
    with Image.open(path) as gif:
        assert (gif.n_frames, gif.info["duration"]) == (8, 200)  # type: ignore[attr-defined]


@pytest.mark.parametrize("file_type", ["mp4", "gif"])
def test_the_same_film_is_the_same_bytes(run: Run, tmp_path: Path, file_type: Any) -> None:
    found = []
    for name in ("a", "b"):
        out = tmp_path / name
        (path,) = render_run(run, videos=["discs"], how=SMALL, file_type=file_type, out=out)
        found.append(path.read_bytes())
    assert found[0] == found[1]


def test_films_of_other_options_have_other_names(run: Run) -> None:
    how = FilmLook(width_px=64, panels=True, importance=True, scaling="per_frame")
    (path,) = render_run(run, videos=["discs"], how=how, layers=[7, 8], beside=run)
    assert path.name == "instance_0_per_frame_layers_7_8_panels_importance_beside.mp4"


def test_the_other_runs_instance_is_the_one_that_overlaps(
    discs: RecordedVideo, online: RecordedVideo
) -> None:
    (trout,) = choose(discs, track=1)
    assert overlapping(trout, online).name == "instance_1"
    (query,) = choose(discs, query=2)
    assert overlapping(query, online).name == "query_2"


def test_nothing_that_overlaps_is_said(discs: RecordedVideo) -> None:
    (trout,) = choose(discs, track=1)
    empty = RecordedVideo("empty", lambda: _without_instances(discs))
    with pytest.raises(SelectionError, match="nothing in video 'empty' of the other run overlaps"):
        overlapping(trout, empty)


def _without_instances(video: RecordedVideo) -> Any:
    from dataclasses import replace

    return replace(video._content, instances=())


def test_a_film_that_fails_does_not_stop_the_others(run: Run) -> None:
    told: list[Exception] = []
    how = FilmLook(width_px=64, importance=True)
    paths = list(render_run(run, videos=["online", "discs"], how=how, on_failure=told.append))
    assert [path.parent.name for path in paths] == ["discs"]
    assert len(told) == 1
    assert not list(run.path.glob("**/*.tmp"))
    assert not list(run.path.glob("videos/online/*"))
