"""Pictures one after another: GIF and MP4 files, the same bytes for the same pictures."""

import io
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from regard.atomic import write_atomically
from regard.errors import MediaError, MissingDependency

RATE = 10
"""Frames a second of a file; a picture that stays longer is repeated."""


def write_animation(
    path: str | os.PathLike[str], pictures: Sequence[Image.Image], seconds: float = 0.8
) -> None:
    """Write pictures of one size as .gif, which repeats for ever, or .mp4 (H.264).

    The file appears whole or not at all.

    Args:
        path: Its ending decides.
        pictures: RGB, all of one size; for .mp4 of even width and height.
        seconds: How long each is shown.

    Raises:
        MediaError: Another ending, pictures that do not fit, a missing folder, a full disk.
        MissingDependency: PyAV is not there, which .mp4 needs.
    """
    kind, name = Path(path).suffix.lower(), repr(os.fspath(path))
    if kind not in (".gif", ".mp4"):
        raise MediaError(f"{name}: cannot write {kind!r}, only .gif and .mp4")
    sizes = {picture.size for picture in pictures}
    if len(sizes) != 1:
        raise MediaError(f"{name}: pictures of sizes {sorted(sizes)}, expected one size")
    if not seconds > 0:
        raise MediaError(f"{name}: {seconds} seconds a picture, expected more than 0")
    data = _gif(pictures, seconds) if kind == ".gif" else _mp4(pictures, seconds, name)
    try:
        write_atomically(path, data)
    except OSError as error:
        raise MediaError(f"cannot write {name}: {error.strerror}") from error


def _gif(pictures: Sequence[Image.Image], seconds: float) -> bytes:
    file = io.BytesIO()
    # one palette for all frames, or colours flicker
    sample = Image.fromarray(np.concatenate([np.asarray(p.convert("RGB")) for p in pictures]))
    palette = sample.quantize(256, method=Image.Quantize.MEDIANCUT)
    first, *others = (p.convert("RGB").quantize(palette=palette) for p in pictures)
    duration = round(seconds * 1000)
    first.save(file, "GIF", save_all=True, append_images=others, duration=duration, loop=0)
    return file.getvalue()


def _mp4(pictures: Sequence[Image.Image], seconds: float, name: str) -> bytes:
    try:
        import av
    except ImportError as error:
        raise MissingDependency(f"writing {name} needs PyAV: pip install av") from error
    width, height = pictures[0].size
    if width % 2 or height % 2:
        raise MediaError(f"{name}: pictures of {width} x {height} px, expected even sizes")
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1  # with more, the bytes depend on the machine
        stream.options = {"crf": "18"}
        number = 0
        for picture in pictures:
            pixels = np.asarray(picture.convert("RGB"))
            for _ in range(max(1, round(seconds * RATE))):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, RATE)
                number += 1
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()
