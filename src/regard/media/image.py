"""Reading photos that somebody else made, and writing pictures.

A photo may be damaged or built to do harm. So only regular files are opened, only formats whose
decoders are well kept, the size is judged from the header before a pixel is decoded, and whatever
Pillow raises leaves this module as one `MediaError`.
"""

import io
import logging
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from regard.atomic import write_atomically
from regard.errors import MediaError

_log = logging.getLogger(__name__)

# EPS (runs Ghostscript), WMF, HDF5 and the other rarities of Pillow stay out on purpose.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "TGA")
"""Formats that `read_image` opens; recognised by content, not by file name."""

MAX_FILE_BYTES = 2**30
"""Larger files are refused unread: some decoders hold the whole file in memory."""

# EXIF orientations of pictures that lie on their side
_LYING = (5, 6, 7, 8)

_WHITE = (255, 255, 255)


def read_image(
    path: str | os.PathLike[str], *, max_pixels: int = 100_000_000, max_side_px: int = 16_384
) -> Image.Image:
    """Photo in a file, as a person sees it: upright, 8 bits, RGB.

    The EXIF orientation is applied. Transparent pixels are laid on white. 16-bit grey is scaled
    to 8 bits, floating-point grey is read as 0 (black) to 1 (white). Of an animation or a file of
    several pages the first frame is read, and a notice is logged. Colour profiles are not
    applied, as models are trained without them.

    Args:
        path: A regular file: no pipe, device or folder, and never a URL.
        max_pixels: Refuse pictures with more pixels, judged before decoding. Pillow's own limit
            (2 x ``PIL.Image.MAX_IMAGE_PIXELS``) holds besides.
        max_side_px: Refuse pictures that are wider or higher than this.

    Raises:
        MediaError: One line that says what is wrong with the file.
    """
    name = repr(os.fspath(path))
    with (
        _one_error(name),
        open_regular(path, name) as file,
        _warnings_to_log(name),
        Image.open(file, formats=FORMATS) as image,
    ):
        refuse_oversize(image.size, name, max_pixels, max_side_px)
        if getattr(image, "is_animated", False):
            _log.warning("%s holds several frames; the first one is read", name)
        return _to_rgb(ImageOps.exif_transpose(image), name)


def read_cutout(
    path: str | os.PathLike[str], *, max_pixels: int = 100_000_000, max_side_px: int = 16_384
) -> tuple[Image.Image, Image.Image | None]:
    """Photo in a file as `read_image` gives it, and its alpha channel if that marks an object.

    Returns:
        The photo, and a grey picture of its size, 255 where it is opaque; None where all of it is.

    Raises:
        MediaError: As for `read_image`.
    """
    photo = read_image(path, max_pixels=max_pixels, max_side_px=max_side_px)
    name = repr(os.fspath(path))
    with (
        _one_error(name),
        open_regular(path, name) as file,
        _warnings_to_log(name),
        Image.open(file, formats=FORMATS) as image,
    ):
        if not image.has_transparency_data:
            return photo, None
        alpha = ImageOps.exif_transpose(image).convert("RGBA").getchannel("A")
    return photo, alpha if len(alpha.getcolors() or ()) > 1 else None


def upright_rgb(image: Image.Image) -> Image.Image:
    """An opened picture as `read_image` gives it: upright, 8 bits, RGB; the first frame.

    Raises:
        MediaError: It cannot be decoded, or where white lies is not known.
    """
    name = "the photo"
    with _one_error(name), _warnings_to_log(name):
        return _to_rgb(ImageOps.exif_transpose(image), name)


def write_png(path: str | os.PathLike[str], image: Image.Image) -> None:
    """Write ``image`` to ``path`` as PNG: whole or not at all, the same bytes for the same pixels.

    No time stamp, colour profile or other metadata is written. The file is encoded in memory
    first, so an encoder that fails leaves nothing behind.

    Raises:
        MediaError: The image cannot be a PNG, the folder is missing, the disk is full.
    """
    name = repr(os.fspath(path))
    try:
        write_atomically(path, png_bytes(image))
    except (OSError, ValueError) as error:
        raise MediaError(f"cannot write {name}: {_reason(error)}") from error


def png_bytes(image: Image.Image) -> bytes:
    """PNG file of ``image``; the same bytes for the same pixels."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=6, icc_profile=None)
    return buffer.getvalue()


def image_size_hw(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width of the picture that `read_image` would give; no pixel is decoded.

    Raises:
        MediaError: One line that says what is wrong with the file.
    """
    name = repr(os.fspath(path))
    with (
        _one_error(name),
        open_regular(path, name) as file,
        _warnings_to_log(name),
        Image.open(file, formats=FORMATS) as image,
    ):
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in _LYING
        width, height = image.size[::-1] if turned else image.size
        return height, width


def open_regular(
    path: str | os.PathLike[str], name: str, *, max_bytes: int = MAX_FILE_BYTES
) -> IO[bytes]:
    """Open without following into a pipe (which would block) or a device."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        file = os.fdopen(os.open(path, flags), "rb")
    except FileNotFoundError as error:
        hint = "; URLs are not read: download it first" if "://" in os.fspath(path) else ""
        raise MediaError(f"{name}: no such file{hint}") from error
    except IsADirectoryError as error:
        raise MediaError(f"{name} is a folder, expected an image file") from error
    try:
        _refuse_odd_file(os.fstat(file.fileno()), name, max_bytes)
    except MediaError:
        file.close()
        raise
    return file


def _refuse_odd_file(status: os.stat_result, name: str, max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(f"{name} is not a regular file; pipes and devices are not read")
    if status.st_size == 0:
        raise MediaError(f"{name} is empty (0 bytes)")
    if status.st_size > max_bytes:
        raise MediaError(
            f"{name} is refused unread: {status.st_size:,} bytes, at most {max_bytes:,}"
        )


def refuse_oversize(size_wh: tuple[int, int], name: str, max_pixels: int, max_side: int) -> None:
    """Refuse a picture or video whose frames are too large, before they are decoded."""
    width, height = size_wh
    if width * height > max_pixels or max(size_wh) > max_side:
        raise MediaError(
            f"{name} is refused before decoding: {width} x {height} pixels, at most "
            f"{max_pixels:,} pixels and {max_side:,} a side are read; "
            "scale it down, or raise max_pixels and max_side_px if you trust it"
        )


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey_to_rgb(image, name)
    if image.has_transparency_data:
        upright = image.convert("RGBA")
        ground = Image.new("RGBA", upright.size, (*_WHITE, 255))
        return Image.alpha_composite(ground, upright).convert("RGB")
    return image.convert("RGB")


def _deep_grey_to_rgb(image: Image.Image, name: str) -> Image.Image:
    """Pillow's own conversion clips everything above 255 to white; this one scales."""
    grey = np.asarray(image)
    white = 1.0 if image.mode == "F" else 65535
    if not (grey.min() >= 0 and grey.max() <= white):  # also catches NaN
        raise MediaError(
            f"{name} holds grey values from {grey.min():g} to {grey.max():g}, expected 0 to "
            f"{white:g} in mode {image.mode}; where white lies is not known: convert it to 8 bits"
        )
    scaled = np.rint(grey * np.float32(255 / white)).astype(np.uint8)
    return Image.fromarray(scaled).convert("RGB")


@contextmanager
def _one_error(name: str) -> Iterator[None]:
    """The one boundary: decoders raise a dozen kinds of exception on damaged files."""
    try:
        yield
    except MediaError:
        raise
    except UnidentifiedImageError as error:
        raise MediaError(
            f"{name} is not an image that can be read; known: {', '.join(FORMATS)}"
        ) from error
    except Image.DecompressionBombError as error:
        raise MediaError(
            f"{name} is refused before decoding: {_reason(error)}; raise "
            "PIL.Image.MAX_IMAGE_PIXELS as well if you trust it"
        ) from error
    except Exception as error:
        raise MediaError(f"cannot read {name}: {_reason(error)}") from error


@contextmanager
def _warnings_to_log(name: str) -> Iterator[None]:
    """Send Pillow's warnings (odd EXIF, large picture) to the log, with the file's name."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if warning.category is not Image.DecompressionBombWarning:  # our own limit decided
            _log.warning("%s: %s", name, _one_line(str(warning.message)))


def _reason(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return _one_line(text) or type(error).__name__


def _one_line(text: str) -> str:
    """Printable and short: it may quote bytes of a hostile file."""
    words = " ".join(text.split())[:300]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words)
