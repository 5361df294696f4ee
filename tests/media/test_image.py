"""Hostile, damaged and unusual image files; written pictures."""

import io
import logging
import os
import random
import stat
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from regard.errors import MediaError
from regard.media.image import png_bytes, read_image, write_png

Pixels = npt.NDArray[np.uint8]

SOURCE = Path(__file__).parents[2] / "src"


def photo(mode: str = "RGB", size: tuple[int, int] = (24, 16)) -> Image.Image:
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    bands = np.stack([columns * 9, rows * 15, columns * rows % 256], axis=-1)
    return Image.fromarray(bands.astype(np.uint8)).convert(mode)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_file(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def refusal(path: Path, **limits: int) -> str:
    with pytest.raises(MediaError) as caught:
        read_image(path, **limits)
    message = str(caught.value)
    assert "\n" not in message
    assert message.isprintable()
    return message


# What is read


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "HSV", "YCbCr"])
def test_every_mode_comes_back_as_rgb(tmp_path: Path, mode: str) -> None:
    image = photo(mode)
    stored = image if mode in {"RGB", "L", "P", "1"} else image.convert("RGB")
    stored.save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png")
    assert found.mode == "RGB"
    assert found.tobytes() == stored.convert("RGB").tobytes()


def test_cmyk_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    red, green, blue = np.asarray(read_image(tmp_path / "a.jpg"))[4, 4]
    assert red > 240  # JPEG is lossy: red stays red within a few steps
    assert max(green, blue) < 15


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[:8, :8] = 255  # the upper left third is white
    undo: dict[int, Callable[[Pixels], Pixels]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a.transpose(1, 0, 2), 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(undo[orientation](upright))).save(
        tmp_path / "a.png", exif=exif
    )
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.png")), upright)


@pytest.mark.parametrize(
    ("suffix", "dtype"), [("png", "uint16"), ("tif", "uint16"), ("tif", ">u2")]
)
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str, dtype: str) -> None:
    grey = np.array([[0, 255, 257 * 100, 65535]], dtype=dtype)
    Image.fromarray(grey).save(tmp_path / f"a.{suffix}")
    assert np.asarray(read_image(tmp_path / f"a.{suffix}"))[0, :, 0].tolist() == [0, 1, 100, 255]


def test_floating_point_grey_is_zero_to_one(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)).save(tmp_path / "a.tif")
    assert np.asarray(read_image(tmp_path / "a.tif"))[0, :, 1].tolist() == [0, 128, 255]


@pytest.mark.parametrize("values", [[0.0, 300.0], [-1.0, 0.5], [0.5, float("nan")]])
def test_grey_without_a_known_white_is_refused(tmp_path: Path, values: list[float]) -> None:
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "a.tif")
    assert "convert it to 8 bits" in refusal(tmp_path / "a.tif")


def test_transparent_pixels_lie_on_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((0, 51, 255)):
        image.putpixel((x, 0), (100, 0, 0, alpha))
    image.save(tmp_path / "a.png")
    assert np.asarray(read_image(tmp_path / "a.png"))[0].tolist() == [
        [255, 255, 255],
        [224, 204, 204],
        [100, 0, 0],
    ]


def test_a_transparent_palette_entry_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=0)
    assert np.asarray(read_image(tmp_path / "a.png"))[0].tolist() == [[255] * 3, [10, 20, 30]]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_first_frame_of_several_and_a_notice(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    with caplog.at_level(logging.WARNING, "regard"):
        assert read_image(path).getpixel((4, 4)) == (255, 0, 0)
    assert caplog.messages == [f"{str(path)!r} holds several frames; the first one is read"]


# What is refused


def test_missing_file_and_url(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "absent.png")
    with pytest.raises(MediaError, match="URLs are not read"):
        read_image("https://example.org/a.png")


def test_odd_files_are_refused_without_waiting(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    os.mkfifo(tmp_path / "pipe.png")
    assert "folder" in refusal(tmp_path)
    assert "empty (0 bytes)" in refusal(tmp_path / "empty.png")
    assert "not an image" in refusal(tmp_path / "text.png")
    assert "not a regular file" in refusal(tmp_path / "pipe.png")
    assert "not a regular file" in refusal(Path("/dev/zero"))


def test_a_name_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    refusal(tmp_path / "a\x1b[31m\n\u202eb.png")
    with pytest.raises(MediaError, match=r"\\x00"):
        read_image("a\x00.png")


def test_a_postscript_file_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    assert "not an image" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp"])
def test_a_truncated_file_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    photo(size=(64, 64)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cannot read" in refusal(path)


def test_limits_are_judged_from_the_header(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_file(300, 200, chunk(b"IDAT", b"no pixels at all")))
    assert "refused before decoding: 300 x 200" in refusal(tmp_path / "a.png", max_pixels=59_999)
    assert "refused before decoding" in refusal(tmp_path / "a.png", max_side_px=299)
    assert "cannot read" in refusal(tmp_path / "a.png", max_pixels=60_000, max_side_px=300)


def zeros(count: int) -> bytes:
    packer = zlib.compressobj(1)
    parts = [packer.compress(bytes(1_000_000)) for _ in range(count // 1_000_000 + 1)]
    return b"".join(parts) + packer.flush()


def webp_canvas(width: int, height: int) -> bytes:
    frame = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(frame, "WEBP", save_all=True, append_images=frames[1:])
    data = bytearray(frame.getvalue())
    data[24:27] = (width - 1).to_bytes(3, "little")
    data[27:30] = (height - 1).to_bytes(3, "little")
    return bytes(data)


def gif_canvas(width: int, height: int) -> bytes:
    data = io.BytesIO()
    Image.new("P", (8, 8)).save(data, "GIF")
    file = bytearray(data.getvalue())
    file[6:10] = struct.pack("<HH", width, height)
    return bytes(file)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
def test_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    bombs = {
        "a.png": png_file(20_000, 20_000, chunk(b"IDAT", zeros(400_020_000))),
        "b.png": png_file(13_000, 13_000, chunk(b"IDAT", zeros(169_013_000))),
        "c.webp": webp_canvas(16_383, 16_383),
        "d.gif": gif_canvas(60_000, 60_000),
        "e.png": png_file(1, 1, chunk(b"zTXt", b"Comment\0\0" + zeros(300_000_000))),
        "f.png": png_file(1, 1, chunk(b"iCCP", b"profile\0\0" + zeros(300_000_000))),
    }
    for name, data in bombs.items():
        (tmp_path / name).write_bytes(data)
        assert len(data) < 3_000_000
    program = (
        "import re, sys\n"
        "from regard.errors import MediaError\n"
        "from regard.media.image import read_image\n"
        "for path in sys.argv[1:]:\n"
        "    try: print('read', read_image(path).size)\n"
        "    except MediaError as error: print('refused')\n"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])\n"
    )
    paths = [str(tmp_path / name) for name in bombs]
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *paths],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    *outcomes, kilobytes = result.stdout.split("\n")[:-1]
    # Pillow leaves a colour profile that unpacks to too much unread; the one pixel is harmless.
    assert outcomes[:5] == ["refused"] * 5
    assert int(kilobytes) <= 200 * 1024


def mutant(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    if draw.random() < 0.3:
        del changed[draw.randrange(len(changed)) :]
    if draw.random() < 0.2:
        start = draw.randrange(len(changed) + 1)
        changed[start:start] = draw.randbytes(draw.randint(1, 40))
    return bytes(changed)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_mutants_raise_nothing_but_media_errors(tmp_path: Path, kind: str) -> None:
    whole = io.BytesIO()
    photo().save(whole, kind)
    draw, refused, path = random.Random(kind), 0, tmp_path / "mutant"
    for _ in range(100):
        path.write_bytes(mutant(whole.getvalue(), draw))
        try:
            read_image(path, max_pixels=1_000_000)
        except MediaError as error:
            refused += str(error).isprintable()
    assert refused > 5  # the mutants did reach the error paths


# What is written


def test_png_round_trip_and_same_bytes(tmp_path: Path) -> None:
    image = photo()
    tagged = image.copy()
    tagged.info.update(icc_profile=b"profile", dpi=(72, 72), Software="x")
    write_png(tmp_path / "a.png", image)
    write_png(tmp_path / "b.png", tagged)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert read_image(tmp_path / "a.png").tobytes() == image.tobytes()


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_written_file_follows_the_umask(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_png(tmp_path / "a.png", photo())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == mode


def test_a_link_is_replaced_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep")
    (tmp_path / "a.png").symlink_to(tmp_path / "precious")
    write_png(tmp_path / "a.png", photo())
    assert (tmp_path / "precious").read_text() == "keep"
    assert not (tmp_path / "a.png").is_symlink()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file_alone(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_png(tmp_path / "a.png", photo("L"))
    before = (tmp_path / "a.png").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if call == "fsync" else Path, call, full)
    with pytest.raises(MediaError, match="No space left on device"):
        write_png(tmp_path / "a.png", photo())
    assert (tmp_path / "a.png").read_bytes() == before
    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"]


def test_an_encoder_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MediaError, match="CMYK"):
        write_png(tmp_path / "a.png", photo("CMYK"))

    def half(_: Image.Image, file: io.BytesIO, *__: object, **___: object) -> None:
        file.write(b"half")
        raise ValueError("broken")

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(MediaError, match="broken"):
        write_png(tmp_path / "a.png", Image.new("RGB", (2, 2)))
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="No such file or directory"):
        write_png(tmp_path / "absent" / "a.png", photo())


def test_png_bytes_hold_no_time_or_text() -> None:
    kinds = set()
    data, at = png_bytes(photo()), 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kinds.add(data[at + 4 : at + 8])
        at += 12 + length
    assert kinds == {b"IHDR", b"IDAT", b"IEND"}
