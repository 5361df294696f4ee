"""The true class of what is filmed, and the frames in which it is annotated."""

from pathlib import Path

import av
import numpy as np
import pytest

from regard.datasets.ytvis_tracks import read_truth
from regard.errors import FormatError
from regard.figures.film import FilmLook, film
from regard.figures.films import render_run
from regard.figures.subject import Subject, choose
from regard.figures.truth import Truth
from regard.render.chart import SHADE
from regard.runs import Run, open_run
from runs.conftest import network, run_dataset
from summaries.conftest import FRAMES, annotate, annotations, dataset, made

__all__ = ["annotations", "dataset", "made", "network", "run_dataset"]

IMPORTANCE = FilmLook(width_px=320, importance=True)


def test_it_is_the_object_that_overlaps_most(made: Run, annotations: Path) -> None:
    truth = read_truth(annotations)
    video = made.video(1)
    found = [Truth.of(choose(video, instances=[place])[0], truth) for place in range(3)]
    named = [one for one in found if one is not None and one.frames]
    assert named, "the square is found"
    assert named[0].words.startswith("truth: fish, object 0, overlap 0.")
    assert named[0].frames == tuple(range(FRAMES - 1))
    assert named[0].words_in(0) == named[0].words
    assert named[0].words_in(FRAMES - 1).endswith("not annotated here")
    assert Truth.of(choose(video, query=0)[0], truth) is None, "a query is no object"


def test_it_is_written_and_its_frames_are_shaded(salmon: Subject) -> None:
    truth = Truth("truth: trout, object 1, overlap 0.50", (2, 3))
    plain = list(film(salmon, salmon.video.frames(), how=IMPORTANCE))
    told = list(film(salmon, salmon.video.frames(), how=IMPORTANCE, truth=truth))
    height = plain[0].height - 300
    for index, (one, other) in enumerate(zip(plain, told, strict=True)):
        changed = np.asarray(one) != np.asarray(other)
        assert changed[20:60, :200].any(), f"frame {index} says it"
    shaded = (np.asarray(told[0])[height:] == SHADE).all(2)
    assert 0.15 < shaded.any(0).mean() < 0.4, "two of eight frames"
    assert not (np.asarray(plain[0])[height:] == SHADE).all(2).any(), "it lives in all frames"


def test_films_of_a_run_have_it(made: Run, annotations: Path, tmp_path: Path) -> None:
    small = FilmLook(width_px=64)
    how = {"videos": ["1"], "how": small, "out": tmp_path}
    (path,) = render_run(made, annotations=annotations, **how)  # type: ignore[arg-type]
    assert path == tmp_path / "videos" / "1" / "instance_0_truth.mp4"
    with av.open(path) as container:
        assert len(list(container.decode(video=0))) == FRAMES


def test_annotations_of_other_videos_are_refused(made: Run, dataset: Path, tmp_path: Path) -> None:
    other = annotate(dataset, tmp_path / "other.json")
    other.write_text(other.read_text().replace('"id": 1,', '"id": 71,', 1))
    run = open_run(made.path)
    with pytest.raises(FormatError, match=r"other\.json.*video"):
        list(render_run(run, videos=["1"], annotations=other, out=tmp_path))
