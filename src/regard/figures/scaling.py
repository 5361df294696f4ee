"""Which value has which colour, over all frames of a video.

Extremes are those of the whole video, whatever windows the model cut it into, and belong to one
subject of one video: nothing is carried over to the next.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from regard.errors import SelectionError
from regard.render.arrays import Floats
from regard.render.colour import High, Scale

Scaling = Literal["per_frame", "across_frames", "temporal_per_frame", "temporal_across_frames"]
"""How frames share a scale.

"per_frame": each from its smallest to its largest value; frames do not compare.
"across_frames": one scale, from the smallest to the largest value of all frames.
"temporal_per_frame": each frame from 0 at its smallest to 1 at its largest value, times how much
    the frame counts for the class; one scale from 0 to the largest of these.
"temporal_across_frames": values times how much the frame counts; one scale for all.
"""


@dataclass(frozen=True, kw_only=True)
class FrameScales:
    """A scale for each frame of a video, and what its values are multiplied by."""

    scaling: Scaling
    lows: Mapping[int, float]
    highs: Mapping[int, float]
    """Smallest and largest value of each frame."""
    largest: Mapping[int, float]
    """The same as ``highs`` where these are not clipped."""
    weights: Floats | None
    """How much each frame counts, (frames,); for the temporal ones."""

    @classmethod
    def of(
        cls,
        scaling: str,
        maps: Iterable[tuple[int, Floats | None]],
        weights: Floats | None = None,
        *,
        high: High = "max",
    ) -> "FrameScales":
        """Of the maps of all frames, which are looked at once, one by one.

        Args:
            scaling: See `Scaling`.
            maps: Frames with their maps; None and NaN do not count.
            weights: How much each frame counts; needed by the temporal ones only.
            high: "max", or "p99.5" to clip each frame at its 99.5th percentile.

        Raises:
            SelectionError: An unknown scaling, no weights where they are needed, or no map.
        """
        if scaling not in get_args(Scaling):
            raise SelectionError(f"scale is {scaling!r}, expected one of {get_args(Scaling)}")
        if scaling.startswith("temporal") and weights is None:
            raise SelectionError(f"scale {scaling!r} needs the weights of frames")
        lows, highs, largest = {}, {}, {}
        for frame, values in maps:
            if values is not None and np.isfinite(values).any():
                scale = Scale.of(values, high=high)
                lows[frame] = scale.smallest
                highs[frame], largest[frame] = scale.high, scale.largest
        if not lows:
            raise SelectionError("there is no frame with attention to show")
        return cls(
            scaling=scaling,  # type: ignore[arg-type]
            lows=lows,
            highs=highs,
            largest=largest,
            weights=weights,
        )

    @property
    def is_shared(self) -> bool:
        """Whether one scale holds for all frames."""
        return self.scaling != "per_frame"

    @property
    def unit(self) -> str:
        """What the numbers of the scale are."""
        return {
            "per_frame": "\N{MULTIPLICATION SIGN} uniform",
            "across_frames": "\N{MULTIPLICATION SIGN} uniform",
            "temporal_per_frame": "share of the frame's range \N{MULTIPLICATION SIGN} its weight",
            "temporal_across_frames": "\N{MULTIPLICATION SIGN} uniform "
            "\N{MULTIPLICATION SIGN} the frame's weight",
        }[self.scaling]

    def shown(self, frame: int, values: Floats) -> Floats:
        """What is drawn for the values of a frame."""
        if self.scaling == "temporal_per_frame":
            width = self.highs[frame] - self.lows[frame]
            place = (values - self.lows[frame]) / width if width > 0 else np.ones_like(values)
            return np.asarray(place * self._weight(frame), np.float32)
        if self.scaling == "temporal_across_frames":
            return np.asarray(values * self._weight(frame), np.float32)
        return values

    def scale(self, frame: int) -> Scale:
        """The scale that a frame is drawn on."""
        if self.scaling == "per_frame":
            return Scale(
                low=self.lows[frame],
                high=self.highs[frame],
                smallest=self.lows[frame],
                largest=self.largest[frame],
            )
        return self._shared

    @functools.cached_property
    def _shared(self) -> Scale:
        ends = [(self._end(f, self.lows), self._end(f, self.highs)) for f in self.lows]
        low = 0.0 if self.scaling == "temporal_per_frame" else min(low for low, _ in ends)
        largest = max(self._end(f, self.largest) for f in self.lows)
        return Scale(low=low, high=max(high for _, high in ends), smallest=low, largest=largest)

    def _end(self, frame: int, ends: Mapping[int, float]) -> float:
        return float(self.shown(frame, np.array([ends[frame]], np.float32))[0])

    def _weight(self, frame: int) -> np.float32:
        assert self.weights is not None
        return np.float32(self.weights[frame])
