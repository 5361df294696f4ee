"""Frames of a video, and which of them are wanted."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

from PIL import Image

from regard.errors import SelectionError

_RANGE = re.compile(r"(\d*):(\d*)(?::(\d+))?")


@dataclass(frozen=True)
class Frame:
    """One frame of a video."""

    index: int
    """Place in the video, from 0, whatever was selected."""
    seconds: float | None
    """Time at which it is shown, from the start of the video; ``None`` where it is not known."""
    image: Image.Image
    """Upright, RGB."""


@dataclass(frozen=True)
class FrameRange:
    """Which frames of a video are wanted: each ``step``-th one from ``start`` up to ``stop``.

    >>> FrameRange.parse("10:100:5")
    FrameRange(start=10, stop=100, step=5)
    """

    start: int = 0
    """The first one."""
    stop: int | None = None
    """The one after the last; ``None`` for the end of the video."""
    step: int = 1
    """Distance between two."""

    def __post_init__(self) -> None:
        if self.start < 0 or self.step < 1 or (self.stop is not None and self.stop <= self.start):
            raise SelectionError(
                f"frames {self} select nothing; expected START:STOP:STEP, counted from 0, with "
                "STOP behind START and STEP 1 or more, such as 0:100 or ::5"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """The range that a text such as ``"10:100"``, ``"10:"`` or ``"::5"`` means.

        Raises:
            SelectionError: The text is no such range.
        """
        match = _RANGE.fullmatch(text.strip())
        if match is None:
            raise SelectionError(
                f"frames {text!r} are no range; expected START:STOP or START:STOP:STEP, counted "
                "from 0, such as 0:100 or ::5"
            )
        start, stop, step = match.groups()
        return cls(int(start or 0), int(stop) if stop else None, int(step or 1))

    def __contains__(self, index: int) -> bool:
        return self.start <= index and not self.ends_before(index) and self._is_stepped_on(index)

    def ends_before(self, index: int) -> bool:
        """Whether this frame and all later ones are not wanted."""
        return self.stop is not None and index >= self.stop

    def count(self, frames: int) -> int:
        """How many frames are wanted of a video of so many."""
        return len(range(frames)[self.start : self.stop : self.step])

    def __str__(self) -> str:
        stop = "" if self.stop is None else self.stop
        return f"{self.start}:{stop}" + (f":{self.step}" if self.step != 1 else "")

    def _is_stepped_on(self, index: int) -> bool:
        return (index - self.start) % self.step == 0


EVERY_FRAME = FrameRange()


class Video(Protocol):
    """A video that can be read any number of times."""

    @property
    def name(self) -> str:
        """What messages and files call it."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of its frames, upright."""

    @property
    def frame_count(self) -> int | None:
        """How many frames it says that it has; ``None`` where it does not say."""

    @property
    def frames_per_second(self) -> float | None:
        """Mean rate; single frames may be shown longer or shorter. ``None``: not known."""

    def frames(self, wanted: FrameRange = EVERY_FRAME) -> Iterator[Frame]:
        """The wanted frames, in order, decoded once.

        Raises:
            MediaError: A frame cannot be read, or the video ends before it should.
        """
