"""Frames by instances on one sheet."""

from pathlib import Path
from typing import Any

import pytest

from regard.clips.clip import ClipAttention
from regard.clips.contact_sheet import draw_contact_sheet
from regard.clips.files import save
from regard.errors import SelectionError
from regard.runs import RecordedVideo, open_run


@pytest.fixture(scope="module")
def recorded(found: ClipAttention, tmp_path_factory: pytest.TempPathFactory) -> RecordedVideo:
    folder: Path = tmp_path_factory.mktemp("sheet") / "run"
    list(save(found, folder, instances=0))
    return open_run(folder).video("grey")


def test_a_row_an_instance_and_a_column_a_frame(recorded: RecordedVideo) -> None:
    lines = draw_contact_sheet(recorded, instances=2).lines
    assert lines.count("frame 1") == lines.count("frame 3") == 2
    best = recorded.instance(0)
    assert f"{best.category} {best.score:.2f}" in lines


def test_what_a_frame_counts_stands_below_it(recorded: RecordedVideo) -> None:
    lines = draw_contact_sheet(recorded, instances=1).lines
    best = recorded.instance(0)
    weights = recorded.importance(best.row).weights
    shown = [f"counts {100 * float(weights[frame]):.0f} %" for frame in best.life]
    assert [line for line in lines if line.startswith("counts")] == shown
    assert lines.count("not there") == recorded.frame_count - len(best.life)


def test_the_first_frame_is_shown_where_there_is_one_column(recorded: RecordedVideo) -> None:
    assert "frame 1" in draw_contact_sheet(recorded, instances=1, columns=1).lines
    with pytest.raises(SelectionError, match="columns is 0"):
        draw_contact_sheet(recorded, columns=0)


def test_a_video_without_instances_is_said(
    recorded: RecordedVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: Any = property(lambda _: ())
    monkeypatch.setattr(RecordedVideo, "instances", nothing)
    with pytest.raises(SelectionError, match="nothing was found in 'grey'"):
        draw_contact_sheet(recorded)
