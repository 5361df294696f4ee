"""Writing moving pictures: GIF and MP4, whole or not at all, the same bytes for the same frames.

Frames are taken one by one, so that a film of any length needs the memory of a few of them. They
are made and converted on a thread of their own while those before are encoded.
"""

import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from regard.atomic import written_atomically
from regard.errors import MediaError
from regard.media.prefetch import prefetched
from regard.media.pyav import require_av

KINDS = (".gif", ".mp4")

_AHEAD = 2
"""Frames that wait for the encoder: few, so that they are in the processor's cache by then."""

_PIXEL_FORMAT = "yuv420p"

_BT709 = 1
"""Code of the colours of HD video, and of their range from 16 to 235, in H.264 (ITU-T H.273)."""


def write_animation(
    path: str | os.PathLike[str], frames: Iterable[Image.Image], *, fps: float = 2.0
) -> None:
    """Write frames as a moving picture; the ending of the path says which kind.

    Args:
        path: `.gif` (every viewer, 256 colours) or `.mp4` (H.264, any colours, small).
        frames: RGB pictures of one size; they are made on another thread, a few at a time.
        fps: Frames a second. GIF counts hundredths of a second: it plays the nearest rate that
            it has, 50 at most.

    Raises:
        MediaError: Another ending, no frames, different sizes, or a file that cannot be written.
        MissingDependency: MP4 without PyAV.
    """
    shown, kind = repr(os.fspath(path)), Path(path).suffix.lower()
    if kind not in KINDS:
        raise MediaError(f"{shown}: cannot write {kind!r}, only {', '.join(KINDS)}")
    if not fps > 0:
        raise MediaError(f"{shown}: {fps} frames a second; expected more than 0 a second")
    write: Callable[[BinaryIO, Iterator[Image.Image], float], None]
    write = _write_gif if kind == ".gif" else _write_mp4
    try:
        with written_atomically(path) as file:
            write(file, _of_one_size(frames, shown), fps)
    except MediaError:
        raise
    except OSError as error:
        raise MediaError(f"cannot write {shown}: {error.strerror or error}") from error


def mp4_bytes(frames: Iterable[Image.Image], fps: float) -> bytes:
    """The content of the MP4 file that `write_animation` writes."""
    file = io.BytesIO()
    _write_mp4(file, iter(frames), fps)
    return file.getvalue()


def _of_one_size(frames: Iterable[Image.Image], shown: str) -> Iterator[Image.Image]:
    """The same frames, as long as they are of one size; an error if there are none."""
    size: tuple[int, int] | None = None
    for index, frame in enumerate(frames):
        if size is not None and frame.size != size:
            raise MediaError(
                f"{shown}: frame {index} is {frame.size} pixels wide and high, those before are "
                f"{size}; expected frames all of one size"
            )
        size = frame.size
        yield frame
    if size is None:
        raise MediaError(f"{shown}: no frames; expected at least one frame")


def _write_gif(file: BinaryIO, frames: Iterator[Image.Image], fps: float) -> None:
    """A GIF that repeats for ever; a frame stays for a whole number of hundredths of a second."""
    reduced = (_reduced(frame.convert("RGB")) for frame in frames)
    with closing(prefetched(reduced, ahead=_AHEAD)) as made:
        next(made).save(
            file,
            "GIF",
            save_all=True,
            append_images=made,
            duration=max(20, round(100 / fps) * 10),
            loop=0,
            optimize=False,
            disposal=2,
        )


def _reduced(frame: Image.Image) -> Image.Image:
    """In 256 colours of its own, mixed by dots where there are more: bars and skies have no bands.

    The octree keeps rare colours, such as the bright ones of a heat map, which a median cut drops.
    """
    palette = frame.quantize(256, Image.Quantize.FASTOCTREE)
    return frame.quantize(256, palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def _write_mp4(file: BinaryIO, frames: Iterator[Image.Image], fps: float, crf: int = 18) -> None:
    """H.264 in MP4 that browsers and slides play; odd sides are repeated by a pixel.

    Colours are those of HD video and the file says so; players guess where it does not, and show
    other ones. Two threads whatever the machine has, for the bytes depend on their number; and none
    of x264's shortcuts that round by processor, with which the same film differs now and then.

    Args:
        file: To write to.
        frames: RGB pictures of one size, read one by one.
        fps: Frames a second.
        crf: Quality; 18 is visually lossless, higher is smaller.
    """
    av = require_av()
    options = {"fflags": "+bitexact"}  # no version of the writer in the file
    with (
        closing(prefetched(_in_yuv(frames), ahead=_AHEAD)) as made,
        av.open(file, "w", format="mp4", options=options) as container,
    ):
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.options = {
            "crf": str(crf),
            "preset": "veryfast",
            "threads": "2",
            "x264-params": "cpu-independent=1",
        }
        stream.pix_fmt = _PIXEL_FORMAT
        codec = stream.codec_context
        codec.colorspace = codec.color_primaries = codec.color_trc = codec.color_range = _BT709
        for index, frame in enumerate(made):
            if index == 0:
                stream.width, stream.height = frame.width, frame.height
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _in_yuv(frames: Iterator[Image.Image]) -> Iterator[Any]:
    """Frames as the encoder wants them, made where their pixels are still in the cache."""
    av = require_av()
    converter = av.video.reformatter.VideoReformatter()
    for frame in frames:
        pixels = _even(np.asarray(frame if frame.mode == "RGB" else frame.convert("RGB")))
        yield converter.reformat(
            av.VideoFrame.from_numpy_buffer(pixels, format="rgb24"),
            format=_PIXEL_FORMAT,
            dst_colorspace="ITU709",
            interpolation="BILINEAR",
        )


def _even(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(pixels)
