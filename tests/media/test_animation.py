"""Moving pictures: what goes in comes out, and the bytes are always the same."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from regard.errors import MediaError
from regard.media.animation import mp4_bytes, write_animation

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]


def frames(width: int = 64, height: int = 48) -> list[Image.Image]:
    return [Image.new("RGB", (width, height), colour) for colour in COLOURS]


def test_a_gif_holds_the_frames_and_repeats(tmp_path: Path) -> None:
    write_animation(tmp_path / "a.gif", frames(), fps=4)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 3  # type: ignore[attr-defined]
        assert gif.info["loop"] == 0
        for index, colour in enumerate(COLOURS):
            gif.seek(index)
            assert gif.info["duration"] == 250
            assert gif.convert("RGB").getpixel((30, 20)) == colour


@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
def test_an_mp4_holds_the_frames_at_their_rate(tmp_path: Path, size: tuple[int, int]) -> None:
    write_animation(tmp_path / "a.mp4", frames(*size), fps=5)
    with av.open(str(tmp_path / "a.mp4")) as video:
        stream = video.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == 5
        assert (stream.width, stream.height) == (64, 48), "sides are even"
        decoded = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
    assert len(decoded) == 3
    for pixels, colour in zip(decoded, COLOURS, strict=True):
        # colours go through YUV with 8 bits
        np.testing.assert_allclose(pixels[20, 30], colour, atol=6)


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, kind: str) -> None:
    for name in ("a", "b"):
        write_animation(tmp_path / f"{name}.{kind}", frames())
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_no_film_of_many_differs() -> None:
    """As x264's own shortcuts round, some of a hundred would."""
    random = np.random.default_rng(0)
    noise = np.clip(random.normal(120, 40, (8, 98, 130, 3)), 0, 255).astype(np.uint8)
    films = {mp4_bytes([Image.fromarray(frame) for frame in noise], 10) for _ in range(100)}
    assert len(films) == 1


@pytest.mark.parametrize(
    ("name", "made", "fps", "message"),
    [
        ("a.avi", frames(), 2, "only .gif, .mp4"),
        ("a.gif", [], 2, "at least one frame"),
        ("a.gif", [*frames(), *frames(32)], 2, "all of one size"),
        ("a.mp4", frames(), 0, "more than 0 a second"),
        ("none/a.gif", frames(), 2, "cannot write"),
    ],
)
def test_what_cannot_be_written_is_told(
    tmp_path: Path, name: str, made: list[Image.Image], fps: float, message: str
) -> None:
    with pytest.raises(MediaError, match=message):
        write_animation(tmp_path / name, made, fps=fps)
    assert list(tmp_path.iterdir()) == []


def test_frames_are_taken_one_by_one_and_their_errors_leave_no_file(tmp_path: Path) -> None:
    taken: list[int] = []

    def endless() -> Iterator[Image.Image]:
        for index in range(1000):
            taken.append(index)
            yield Image.new("RGB", (64, 48 if index < 3 else 50))

    with pytest.raises(MediaError, match="frame 3 is"):
        write_animation(tmp_path / "a.mp4", endless())
    assert len(taken) < 20, "a few ahead of the encoder"
    assert list(tmp_path.iterdir()) == []


def test_an_mp4_says_which_colours_it_has(tmp_path: Path) -> None:
    write_animation(tmp_path / "a.mp4", frames())
    with av.open(str(tmp_path / "a.mp4")) as video:
        frame = next(video.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (1, 1)  # BT.709, 16 to 235


def test_a_gif_keeps_rare_bright_colours(tmp_path: Path) -> None:
    """A few bright pixels among a photo's many colours, such as the end of a colour bar."""
    noise = np.random.default_rng(0).integers(60, 140, (120, 160, 3), dtype=np.uint8)
    noise[100:104, 100:110] = (252, 255, 164)
    write_animation(tmp_path / "a.gif", [Image.fromarray(noise)] * 2)
    with Image.open(tmp_path / "a.gif") as gif:
        shown = np.asarray(gif.convert("RGB"))[100:104, 100:110].astype(int)
    assert np.abs(shown.mean((0, 1)) - (252, 255, 164)).max() < 24
