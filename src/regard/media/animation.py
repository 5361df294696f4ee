"""Writing moving pictures: GIF and MP4, whole or not at all, the same bytes for the same frames."""

import io
import os
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from regard.atomic import write_atomically
from regard.errors import MediaError
from regard.media.pyav import require_av

KINDS = (".gif", ".mp4")


def write_animation(
    path: str | os.PathLike[str], frames: Sequence[Image.Image], *, fps: float = 2.0
) -> None:
    """Write frames as a moving picture; the ending of the path says which kind.

    Args:
        path: `.gif` (every viewer, 256 colours) or `.mp4` (H.264, any colours, small).
        frames: RGB pictures of one size.
        fps: Frames a second.

    Raises:
        MediaError: Another ending, no frames, different sizes, or a file that cannot be written.
        MissingDependency: MP4 without PyAV.
    """
    kind = Path(path).suffix.lower()
    if kind not in KINDS:
        raise MediaError(f"{os.fspath(path)!r}: cannot write {kind!r}, only {', '.join(KINDS)}")
    sizes = {frame.size for frame in frames}
    if len(sizes) != 1 or not fps > 0:
        raise MediaError(
            f"{os.fspath(path)!r}: {len(frames)} frames of sizes {sorted(sizes)} at {fps} a "
            "second; expected at least one frame, all of one size, and more than 0 a second"
        )
    data = gif_bytes(frames, fps) if kind == ".gif" else mp4_bytes(frames, fps)
    try:
        write_atomically(path, data)
    except OSError as error:
        raise MediaError(f"cannot write {os.fspath(path)!r}: {error.strerror}") from error


def gif_bytes(frames: Sequence[Image.Image], fps: float) -> bytes:
    """A GIF that repeats for ever; a frame stays for a whole number of hundredths of a second."""
    reduced = [frame.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT) for frame in frames]
    duration = max(20, round(100 / fps) * 10)
    file = io.BytesIO()
    reduced[0].save(
        file,
        "GIF",
        save_all=True,
        append_images=reduced[1:],
        duration=duration,
        loop=0,
        optimize=False,
        disposal=2,
    )
    return file.getvalue()


def mp4_bytes(frames: Iterable[Image.Image], fps: float, *, crf: int = 18) -> bytes:
    """H.264 in MP4 that browsers and slides play; odd sides are repeated by a pixel.

    Args:
        frames: RGB pictures of one size, read one by one.
        fps: Frames a second.
        crf: Quality; 18 is visually lossless, higher is smaller.
    """
    av = require_av()
    file = io.BytesIO()
    options = {"fflags": "+bitexact"}  # no version of the writer in the file
    with av.open(file, "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.options = {"crf": str(crf), "preset": "medium", "threads": "1"}
        stream.pix_fmt = "yuv420p"
        for index, frame in enumerate(frames):
            pixels = _even(np.asarray(frame.convert("RGB")))
            if index == 0:
                stream.height, stream.width = pixels.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def _even(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(pixels)
