"""A video file, decoded frame by frame.

The file may be damaged or built to do harm: only regular files are opened, nothing that it points
to, the size is judged before a frame is decoded, and whatever the decoder raises leaves this
module as one `MediaError`.
"""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from regard.errors import MediaError
from regard.media.frames import EVERY_FRAME, Frame, FrameRange
from regard.media.image import open_regular, refuse_oversize
from regard.media.pyav import require_av

MAX_FILE_BYTES = 2**40
"""Larger files are refused; only a few of their bytes are in memory at a time."""

_MAX_PIXELS = 100_000_000
_MAX_SIDE_PX = 16_384

# Formats that do nothing but point to other files or places.
_PLAYLISTS = {"hls", "dash", "concat", "concatf", "imf", "sdp", "rtsp", "ism", "tedcaptions"}

# Formats whose headers say how many frames there are.
_COUNTED = {"mov,mp4,m4a,3gp,3g2,mj2"}

# A nested file or address could be opened through these; an empty list allows none.
_NO_PROTOCOLS = {"protocol_whitelist": "none"}

_TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}
"""Degrees counter-clockwise -> how Pillow calls the turn."""

# Unit of a container's duration, AV_TIME_BASE.
_TICKS_PER_SECOND = 1_000_000

# A file without a frame count is short where more of the time that it states is missing than
# this share and these seconds: the last frame, or sound that goes on, is no damage.
_MISSING_SHARE, _MISSING_SECONDS = 0.02, 0.5


class VideoFile:
    """The main video stream of a file; see `Video`.

    Frames are counted as they are decoded, so variable frame rates need no care; the time of each
    is in `Frame.seconds`. Phones note how they were held: frames come turned upright.

    Args:
        path: A regular file.

    Raises:
        MediaError: There is no video in it that can be decoded.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self.name = os.path.splitext(os.path.basename(path))[0]  # noqa: PTH119, PTH122
        self._shown = repr(os.fspath(path))
        with self._container() as (container, stream):
            counted = container.format.name in _COUNTED  # AVI counts gaps as frames
            self.frame_count: int | None = (stream.frames or None) if counted else None
            rate = stream.average_rate
            self.frames_per_second = float(rate) if rate else None
        first = next(self.frames(), None)
        if first is None:
            raise MediaError(f"{self._shown} holds no frame that can be decoded")
        self.size_hw = (first.image.height, first.image.width)

    def frames(self, wanted: FrameRange = EVERY_FRAME) -> Iterator[Frame]:
        """The wanted frames, in order; see `Video`.

        All frames up to the last wanted one are decoded, as most of them are needed to decode
        those after them; the file is read once, and one frame is held at a time.
        """
        with self._container() as (container, stream):
            count, seconds, size = 0, 0.0, None
            for decoded in self._decoded(container, stream, wanted.stop):
                size = self._require_size(size, decoded, count)
                seconds = decoded.time if decoded.time is not None else seconds
                if count in wanted:
                    yield Frame(count, decoded.time, _upright(decoded))
                count += 1
            if not wanted.ends_before(count):
                self._require_whole(count, seconds, container)

    @contextmanager
    def _container(self) -> Iterator[tuple[Any, Any]]:
        """The open file and its main video stream."""
        av = require_av()
        with (
            open_regular(self.path, self._shown, max_bytes=MAX_FILE_BYTES) as file,
            self._one_error(None),
            av.open(file, options=_NO_PROTOCOLS) as container,
        ):
            if _PLAYLISTS & set(container.format.name.split(",")):
                raise MediaError(
                    f"{self._shown} is a playlist ({container.format.name}), which only points to "
                    "videos; pass one of these"
                )
            stream: Any = container.streams.best("video")
            if stream is None:
                raise MediaError(f"{self._shown} holds no video stream")
            codec = stream.codec_context
            refuse_oversize((codec.width, codec.height), self._shown, _MAX_PIXELS, _MAX_SIDE_PX)
            stream.thread_type = "AUTO"
            yield container, stream

    def _decoded(self, container: Any, stream: Any, stop: int | None) -> Iterator[Any]:
        """The first ``stop`` frames as the decoder gives them; nothing beyond is touched."""
        frames = container.decode(stream)
        for index in itertools.count() if stop is None else range(stop):
            with self._one_error(index):
                frame = next(frames, None)
            if frame is None:
                return
            if frame.is_corrupt:  # the decoder made up what it could not read
                raise MediaError(
                    f"{self._shown} ended early at frame {index}{self._of}, or is damaged there"
                    f"{_before(index)}"
                )
            yield frame

    def _require_size(self, size: Any, frame: Any, index: int) -> tuple[int, int]:
        found = (frame.width, frame.height)
        if size is not None and size != found:
            raise MediaError(
                f"{self._shown}: frame {index} is {found[0]} x {found[1]} pixels, the frames "
                f"before are {size[0]} x {size[1]}; all frames of a video must be of one size. "
                f"Read those before it with frames 0:{index}"
            )
        refuse_oversize(found, self._shown, _MAX_PIXELS, _MAX_SIDE_PX)
        return found

    def _require_whole(self, count: int, seconds: float, container: Any) -> None:
        """Refuse a video that ended before its file says that it does."""
        advice = f"it was cut off or is damaged{_before(count)}"
        if self.frame_count is not None:
            if count < self.frame_count:
                raise MediaError(f"{self._shown} ended early at frame {count}{self._of}: {advice}")
            return
        stated = (container.duration or 0) / _TICKS_PER_SECOND
        if stated - seconds > stated * _MISSING_SHARE + _MISSING_SECONDS:
            raise MediaError(
                f"{self._shown} ended early at frame {count}, {seconds:.2f} of {stated:.2f} "
                f"seconds: {advice}"
            )

    @property
    def _of(self) -> str:
        return "" if self.frame_count is None else f" of {self.frame_count}"

    @contextmanager
    def _one_error(self, frame: int | None) -> Iterator[None]:
        """The one boundary: the decoder raises a dozen kinds of exception on damaged files."""
        try:
            yield
        except MediaError:
            raise
        except Exception as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            reason = " ".join(str(reason).split())[:300]
            if frame is None:
                raise MediaError(
                    f"{self._shown} is not a video that can be read: {reason}"
                ) from error
            raise MediaError(
                f"{self._shown} cannot be decoded at frame {frame}{self._of}: {reason}"
                f"{_before(frame)}"
            ) from error


def _before(index: int) -> str:
    """What to do about a frame that cannot be read."""
    return f"; read what is before it with frames 0:{index}" if index else ""


def _upright(frame: Any) -> Image.Image:
    image: Image.Image = frame.to_image()
    turn = _TURNS.get(round(frame.rotation) % 360)
    return image if turn is None else image.transpose(turn)
