"""Video files: real ones, odd ones, damaged ones, and those that are refused."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from regard.errors import MediaError
from regard.media.frames import Frame, FrameRange
from regard.media.video import open_video
from videos import brightness, turn, write_video


def grey(frame: Frame) -> float:
    return float(np.asarray(frame.image)[-8:, -8:].mean())


def assert_is(frame: Frame, index: int) -> None:
    assert frame.index == index
    assert abs(grey(frame) - brightness(index)) < 5  # frames are 12 apart; the codec is lossy


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4")


REAL = {
    "road": ((540, 960), 221, 25.0),
    "dog": ((720, 1280), 289, 30000 / 1001),
    "nasa_13013": ((270, 480), 390, 30000 / 1001),  # the better of two video streams
    "paste": ((192, 320), 32, 8.0),
}


@pytest.mark.parametrize("name", REAL)
def test_real_videos(shared: Path, name: str) -> None:
    video = open_video(shared / "data" / "videos" / f"{name}.mp4")
    size, count, rate = REAL[name]
    assert (video.name, video.size_hw, video.frame_count) == (name, size, count)
    assert video.frames_per_second == pytest.approx(rate)
    frames = list(video.frames(FrameRange(2, 20, 7)))
    assert [frame.index for frame in frames] == [2, 9, 16]
    assert all(frame.image.size == size[::-1] for frame in frames)
    assert [frame.seconds for frame in frames] == pytest.approx([i / rate for i in (2, 9, 16)])


def test_a_real_video_shows_what_it_should(shared: Path) -> None:
    """Only where the masks of the moved objects lie does a frame differ from another."""
    with np.load(shared / "data" / "videos" / "paste_masks.npz") as file:
        masks = file["masks"]
    frames = list(open_video(shared / "data" / "videos" / "paste.mp4").frames())
    assert len(frames) == len(masks)
    first, later = (np.asarray(frames[index].image, float) for index in (0, 16))
    moved = np.abs(later - first).mean(-1)
    either = (masks[16] > 0) | (masks[0] > 0)
    assert moved[either].mean() > 5 * moved[~either].mean()


def test_every_frame_once_and_in_order(clip: Path) -> None:
    frames = list(open_video(clip).frames())
    assert len(frames) == 12
    for index, frame in enumerate(frames):
        assert_is(frame, index)


@pytest.mark.parametrize(
    ("text", "indices"), [("3:9:2", [3, 5, 7]), ("10:", [10, 11]), (":2", [0, 1])]
)
def test_ranges(clip: Path, text: str, indices: list[int]) -> None:
    frames = list(open_video(clip).frames(FrameRange.parse(text)))
    assert [frame.index for frame in frames] == indices
    for frame in frames:
        assert_is(frame, frame.index)


def test_variable_frame_rate_keeps_every_frame_and_its_time(tmp_path: Path) -> None:
    times = [0, 40, 45, 400, 1000, 1010]
    video = open_video(write_video(tmp_path / "phone.mp4", times_ms=times))
    frames = list(video.frames())
    assert [frame.seconds for frame in frames] == pytest.approx([t / 1000 for t in times])
    for index, frame in enumerate(frames):
        assert_is(frame, index)


@pytest.mark.parametrize(
    ("degrees", "size_hw", "corner"),
    [(90, (64, 48), (0, -1)), (180, (48, 64), (-1, -1)), (270, (64, 48), (-1, 0))],
)
def test_turned_videos_come_upright(
    clip: Path, degrees: int, size_hw: tuple[int, int], corner: tuple[int, int]
) -> None:
    turn(clip, degrees)
    video = open_video(clip)
    pixels = np.asarray(next(video.frames()).image)
    assert video.size_hw == pixels.shape[:2] == size_hw
    assert pixels[corner].min() > 200  # the white corner, turned clockwise with the picture
    assert pixels[0, 0].max() < 100


@pytest.mark.parametrize("name", ["clip.mkv", "clip.avi", "clip.mov"])
def test_other_containers(tmp_path: Path, name: str) -> None:
    video = open_video(write_video(tmp_path / name))
    assert [frame.index for frame in video.frames()] == list(range(12))


def test_a_cut_file_gives_its_frames_and_then_says_where_it_ended(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "long.mp4", frames=18)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    video = open_video(clip)
    seen: list[Frame] = []
    with pytest.raises(MediaError, match=r"ended early at frame \d+ of 18") as caught:
        seen.extend(video.frames())
    count = len(seen)
    assert 3 < count < 18
    assert f"frames 0:{count}" in str(caught.value)
    assert len(list(video.frames(FrameRange(0, count)))) == count  # the advice works


def test_a_file_cut_before_its_first_frame_has_nothing_to_be_read(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "long.mp4", frames=18)
    content = clip.read_bytes()
    clip.write_bytes(content[: content.index(b"mdat") + 20])
    with pytest.raises(MediaError, match="frame 0 of 18") as caught:
        list(open_video(clip).frames())
    assert "frames 0:0" not in str(caught.value)


def test_a_cut_file_without_a_frame_count_is_noticed_too(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "long.mkv", times_ms=range(0, 3600, 200))
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    video = open_video(clip)
    assert video.frame_count is None
    with pytest.raises(MediaError, match="ended early at frame"):
        list(video.frames())


def test_damage_in_the_middle_is_an_error(shared: Path, tmp_path: Path) -> None:
    content = bytearray((shared / "data" / "videos" / "road.mp4").read_bytes())
    noise = np.random.default_rng(0).integers(0, 256, 100_000, dtype=np.uint8)
    content[300_000:400_000] = noise.tobytes()
    (tmp_path / "road.mp4").write_bytes(content)
    with pytest.raises(MediaError, match=r"frame \d+") as caught:
        list(open_video(tmp_path / "road.mp4").frames())
    assert "frames 0:" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.mp4", b"hello" * 100, "is not a video"),
        ("empty.mp4", b"", "is empty"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:5,\nclip.mp4\n#EXT-X-ENDLIST\n", "not a video|playlist"),
        ("list.ffconcat", b"ffconcat version 1.0\nfile clip.mp4\n", "not a video|playlist"),
    ],
)
def test_what_is_no_video_is_refused(clip: Path, name: str, content: bytes, message: str) -> None:
    (clip.parent / name).write_bytes(content)
    with pytest.raises(MediaError, match=message):
        open_video(clip.parent / name)


def test_addresses_and_pipes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="URLs are not read"):
        open_video("https://example.org/clip.mp4")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MediaError, match="not a regular file"):
        open_video(tmp_path / "pipe")


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    peaks = []
    for count in (4, 19):
        path = write_video(tmp_path / f"{count}.mp4", frames=count, size_hw=(240, 320))
        tracemalloc.start()
        for _ in open_video(path).frames():
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 240 * 320 * 3  # not one frame more
