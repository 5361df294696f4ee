"""From which object queries the identity of a track flows, frame by frame.

In every frame the query of a track in the tracker draws on the frame's object queries. The one that
it draws on most carries the track in this frame. Object queries are not tracks: the carrier may
change from frame to frame, and two tracks may draw on the same one, which then is contested.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """The object query that carries a track in a frame."""

    frame: int
    query: int
    share: float
    """Of the track's weight."""
    is_new: bool
    """Whether another query carried it in the frame before that it lived in."""
    rival: str | None
    """The track with most weight on the same query, if that is another one with more."""


def top_attended(weights: npt.ArrayLike, count: int = 5) -> list[tuple[int, float]]:
    """The keys with the largest weights, largest first; of equal ones the earlier.

    Args:
        weights: (keys,)
        count: Most to give.
    """
    values = np.asarray(weights, dtype=np.float64)
    order = np.argsort(-values, kind="stable")[:count]
    return [(int(key), float(values[key])) for key in order]


def identity_flow(track: str, frames: Sequence[Mapping[str, npt.ArrayLike]]) -> list[Carrier]:
    """What carries a track through a video.

    Args:
        track: Its name.
        frames: For each frame the weights of every track that lives in it over the frame's object
            queries, (queries,), by name.
    """
    found: list[Carrier] = []
    for frame, by_name in enumerate(frames):
        if track not in by_name:
            continue
        own = np.asarray(by_name[track], dtype=np.float64)
        query = int(own.argmax())
        share = float(own[query] / own.sum())
        claims = {name: float(np.asarray(values)[query]) for name, values in by_name.items()}
        rival = max(claims, key=claims.__getitem__)
        found.append(
            Carrier(
                frame=frame,
                query=query,
                share=share,
                is_new=bool(found) and found[-1].query != query,
                rival=rival if claims[rival] > claims[track] else None,
            )
        )
    return found
