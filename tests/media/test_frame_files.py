"""Folders of frames."""

from pathlib import Path

import pytest
from PIL import Image

from regard.errors import MediaError
from regard.media.frames import FrameRange
from regard.media.video import open_video


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in (10, 9, 2, 1):
        Image.new("RGB", (6, 4), (index, 0, 0)).save(tmp_path / f"frame_{index}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    (tmp_path / "._frame_3.png").write_text("left by another system")
    return tmp_path


def test_numbers_in_names_count_as_numbers(folder: Path) -> None:
    video = open_video(folder)
    reds = [frame.image.getpixel((0, 0))[0] for frame in video.frames()]  # type: ignore[index]
    assert reds == [1, 2, 9, 10]
    assert (video.size_hw, video.frame_count, video.name) == ((4, 6), 4, folder.name)
    assert [frame.index for frame in video.frames(FrameRange(1, None, 2))] == [1, 3]


def test_a_lying_photo_gives_the_size_that_it_has_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (6, 4))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "1.jpg", exif=exif)
    video = open_video(tmp_path)
    assert video.size_hw == (6, 4)
    assert next(video.frames()).image.size == (4, 6)


def test_frames_of_another_size_are_refused(folder: Path) -> None:
    Image.new("RGB", (6, 5)).save(folder / "frame_11.png")
    with pytest.raises(MediaError, match=r"frame_11\.png.*frame 4.*6 x 5 pixels, expected 6 x 4"):
        list(open_video(folder).frames())


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="holds no images"):
        open_video(tmp_path)
