"""Plots of a run in their folder."""

import json
from pathlib import Path

import numpy as np
import pytest

from regard.analysis.temporal_rollout import column_mean
from regard.errors import MediaError, SelectionError
from regard.figures.plots import Kind, PlotOptions, plot_run, read_photos, shown_frames
from regard.figures.subject import Subject
from regard.figures.temporal import TimeAttention
from regard.media.frames import FrameRange
from regard.runs import RecordedVideo, Run


def names(paths: list[Path], run: Run) -> list[str]:
    return [path.relative_to(run.path).as_posix() for path in paths]


def test_each_kind_has_its_file(run: Run) -> None:
    kinds: tuple[Kind, ...] = ("decoder", "tracker", "importance", "page")
    for kind in kinds:
        options = PlotOptions(layers=None if kind == "tracker" else [8], file_type="pdf")
        (path,) = plot_run(run, kind, videos=["discs"], options=options)
        assert path.name.startswith(f"{kind}_instance_0")
        assert path.read_bytes().startswith(b"%PDF")


def test_the_rollouts_numbers_are_left_as_the_pipeline_names_them(run: Run, trout: Subject) -> None:
    paths = list(plot_run(run, "temporal", videos=["discs"], chosen={"instances": [1]}))
    stem = "attention_maps/rolled_out/video_discs_refiner_1_rollout"
    assert names(paths, run) == [
        "plots/discs/temporal_instance_1.png",
        *(f"{stem}{suffix}.npz" for suffix in ("", "_col_avg", "_col_avg_norm")),
        *(f"{stem}_nolayer0{suffix}.npz" for suffix in ("", "_col_avg", "_col_avg_norm")),
    ]
    rolled = TimeAttention.of(trout).rollout()
    with np.load(paths[1]) as file:
        np.testing.assert_array_equal(file["rollout"], rolled)
    with np.load(paths[2]) as file:
        np.testing.assert_array_equal(file["col_avg"], column_mean(rolled))
    with np.load(paths[3]) as file:
        assert (file["col_avg_norm"].min(), file["col_avg_norm"].max()) == (0, 1)
    with np.load(paths[4]) as file:
        rest = TimeAttention.of(trout, [1, 2]).rollout()
        np.testing.assert_array_equal(file["rollout"], rest)


def test_the_same_plot_is_the_same_bytes(run: Run) -> None:
    (path,) = plot_run(run, "tracker", videos=["discs"])
    before = path.read_bytes()
    list(plot_run(run, "tracker", videos=["discs"]))
    assert path.read_bytes() == before


def test_frames_are_spread_over_the_life_or_chosen(trout: Subject, salmon: Subject) -> None:
    assert shown_frames(trout, None) == [2, 3, 4, 5]
    assert shown_frames(salmon, None) == [0, 1, 3, 4, 6, 7]
    assert shown_frames(trout, FrameRange.parse("::3")) == [0, 3, 6]
    with pytest.raises(SelectionError, match="frames 9:: video 'discs' has 8"):
        shown_frames(trout, FrameRange.parse("9:"))


def test_photos_that_are_gone_are_said(discs: RecordedVideo, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="say where they are"):
        read_photos(discs, [0], tmp_path / "nowhere")


def test_a_folder_that_cannot_be_written_to_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MediaError, match="cannot write"):
        list(plot_run(run, "tracker", videos=["discs"], out=tmp_path / "file"))


def test_a_name_cannot_lead_elsewhere(run: Run, discs: RecordedVideo) -> None:
    hostile = RecordedVideo("../../outside", lambda: discs._content)
    run._read[hostile.id] = hostile
    object.__setattr__(run, "videos", (*run.videos, hostile.id))
    (path,) = plot_run(run, "tracker", videos=[hostile.id])
    assert run.path.resolve() in path.resolve().parents


def test_choices_are_words_and_numbers() -> None:
    options = PlotOptions(layers=(6, 7), frames=FrameRange.parse("0:4"), images="elsewhere")
    found = json.loads(json.dumps(options.choices()))
    assert found == options.choices()
    assert (found["layers"], found["frames"]) == ([6, 7], "0:4")
    assert "images" not in found, "the same frames in another place are the same plot"
