"""Small video files, made for tests."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np


def brightness(index: int) -> int:
    """Grey of frame ``index``; far enough apart to survive the encoder."""
    return 20 + 12 * index


def write_video(
    path: Path,
    *,
    frames: int = 12,
    size_hw: tuple[int, int] = (48, 64),
    times_ms: Sequence[int] | None = None,
    codec: str = "mpeg4",
) -> Path:
    """A video of grey frames, each with a white top left corner.

    Args:
        path: Its ending says the format.
        frames: How many.
        size_hw: Height and width.
        times_ms: When each is shown; None for 25 frames per second.
        codec: Of the video stream.
    """
    times = [40 * index for index in range(frames)] if times_ms is None else times_ms
    with av.open(path, "w", options={"movflags": "faststart"}) as container:
        stream: Any = container.add_stream(codec, rate=25, options={"g": "4"})
        stream.height, stream.width = size_hw
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, time in enumerate(times):
            pixels = np.full((*size_hw, 3), brightness(index), np.uint8)
            pixels[: size_hw[0] // 4, : size_hw[1] // 4] = 255
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def turn(path: Path, degrees: int) -> None:
    """Note in an MP4 file that it was filmed with the camera turned clockwise by so much."""
    cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    content = bytearray(path.read_bytes())
    one, start = 1 << 16, content.index(b"tkhd") + 4 + 40
    matrix = (cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, 1 << 30)
    content[start : start + 36] = b"".join(n.to_bytes(4, "big", signed=True) for n in matrix)
    path.write_bytes(content)
