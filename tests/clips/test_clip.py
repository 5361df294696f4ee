"""`regard.video`: from a file to what was found in it."""

from pathlib import Path

import numpy as np
import pytest

from dvis_reference import SMALL, Reference
from regard.clips.clip import ClipAttention, video
from regard.errors import DeviceError, MediaError, SelectionError
from regard.media.frames import FrameRange
from regard.media.video import open_video


def test_frames_are_those_that_were_asked_for(found: ClipAttention) -> None:
    assert found.frame_indices == [1, 3]
    assert found.frame_seconds == pytest.approx([0.04, 0.12])
    assert found.wanted == FrameRange(1, None, 2)
    assert [frame.index for frame in found.images()] == [1, 3]


def test_masks_and_heat_are_of_the_frames_size(found: ClipAttention) -> None:
    assert found.attention.view.original_hw == (50, 70)
    row = found.instance(0).row
    frame = found.frames_of(0).start
    assert found.masks(frame, [row]).shape == (1, 50, 70)
    heat = found.attention.heat(row, frame)
    assert heat is not None
    assert heat.shape == (50, 70)


def test_classes_have_names_where_they_are_known(found: ClipAttention) -> None:
    assert found.class_name(3) == "class 3"
    named = ClipAttention(**(vars(found) | {"class_names": ("a", "b", "c", "fish")}))
    assert named.class_name(3) == "fish"


def test_a_loaded_model_and_an_opened_clip_work_too(reference: Reference, clip_file: Path) -> None:
    opened = open_video(clip_file)
    frames: list[int] = []
    told: list[str] = []
    with video(
        opened,
        model=reference.model(offline=False),
        settings=SMALL,
        frames=FrameRange(0, 2),
        keep="maps",
        notify=told.append,
        on_frame=frames.append,
    ) as clip:
        assert clip.attention.output.refined is None
    assert frames == [1, 2]
    assert told[0].startswith("grey: keeping about ")
    assert told[0].endswith(" MiB for 2 frames")


def test_an_instance_that_does_not_exist_is_said(found: ClipAttention) -> None:
    with pytest.raises(SelectionError, match="instance 99 does not exist"):
        found.instance(99)


def test_frames_beyond_the_end_are_said(weights: Path, clip_file: Path) -> None:
    with pytest.raises(MediaError, match="5 frames, and none of them is in 9:"):
        video(clip_file, model=weights, frames="9:")


def test_a_device_that_is_not_there_is_said(weights: Path, clip_file: Path) -> None:
    with pytest.raises(DeviceError, match="try cpu"):
        video(clip_file, model=weights, device="nonsense")


def test_a_cut_clip_is_an_error_not_a_shorter_result(
    weights: Path, clip_file: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip_file.read_bytes()[: clip_file.stat().st_size - 300])
    with pytest.raises(MediaError, match="ended early"):
        video(cut, model=weights, settings=SMALL)


def test_shown_heat_is_in_the_recording(found: ClipAttention) -> None:
    """The rows that the pictures are made of are those of the kept calls."""
    detection = next(
        d for d in found.instances if found.attention.output.rows[d.row].track is not None
    )
    track = found.attention.output.rows[detection.row].track
    assert track is not None
    calls = found.attention.recording.find("tracker.transformer_cross*", frame=track.start)
    last = calls[-1]
    index = last.queries.prefix.index(f"track {track.id}")
    expected = last.weights(index)[0, :, 0].mean(0)
    shares = found.attention.query_weights(detection.row, track.start)
    assert shares is not None
    assert np.array_equal(shares.numpy(), expected.numpy())
