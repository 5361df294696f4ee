"""One evaluation beside those of the same model over scrambled videos, one a seed.

Who asks whether a model needs to see motion scrambles the frames with many seeds; what matters
then is how far the scrambled results lie below the original one, and how they scatter.

Source: ``summarize_scrambles.py``, ``plot_scrambled_results.py`` and
``plot_ranked_score_distributions.py`` of fish-dvis.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regard.datasets.json_files import read_json
from regard.errors import FormatError


@dataclass(frozen=True, kw_only=True)
class Spread:
    """One number of the original evaluation and of the scrambled ones."""

    original: float
    scrambled: tuple[float, ...]
    """One a seed."""

    @property
    def mean(self) -> float:
        """Of the scrambled ones."""
        return float(np.mean(self.scrambled))

    @property
    def deviation(self) -> float:
        """Standard deviation over seeds, of a sample (n - 1); NaN for a single one."""
        return float(np.std(self.scrambled, ddof=1)) if len(self.scrambled) > 1 else math.nan

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return self.deviation / math.sqrt(len(self.scrambled))

    def to_json(self) -> dict[str, Any]:
        """All numbers; null where there is none."""
        numbers = {"mean": self.mean, "sd": self.deviation, "se": self.error}
        told = {name: None if math.isnan(of) else of for name, of in numbers.items()}
        return {"original": self.original, "scrambled": list(self.scrambled)} | told


@dataclass(frozen=True, kw_only=True)
class Scrambled:
    """The same model over videos in order and over scrambled ones."""

    average_precision: Mapping[str, Spread]
    """By the name of the measure, over whole videos."""
    scores: Spread | None
    """Mean score of the best result of each video."""
    ranked: tuple[np.ndarray, np.ndarray]
    """Best score of each video, largest first: of the original (videos,), and of each seed
    (seeds, videos)."""

    def to_json(self) -> dict[str, Any]:
        """All numbers."""
        return {
            "seeds": len(self.ranked[1]),
            "average_precision": {n: of.to_json() for n, of in self.average_precision.items()},
            "best_score": None if self.scores is None else self.scores.to_json(),
        }


def compare_scrambled(original: Mapping[str, Any], paths: Sequence[str | Path]) -> Scrambled:
    """Put an evaluation beside those over scrambled videos.

    Args:
        original: What `regard evaluate --out` wrote.
        paths: Files that it wrote for the scrambled data sets.

    Raises:
        FormatError: A file that is no such evaluation, or one of other videos.
    """
    others = [_checked(read_json(Path(path)), str(path)) for path in paths]
    own = _checked(original, "the original")
    for path, other in zip(paths, others, strict=True):
        if other["best_scores"].keys() != own["best_scores"].keys():
            raise FormatError(
                f"{path} is of {len(other['best_scores'])} videos, not of the original's "
                f"{len(own['best_scores'])}; expected evaluations of the same data set"
            )
    measures = [_precision(of) for of in (own, *others)]
    spreads = {
        name: Spread(original=number, scrambled=tuple(of[name] for of in measures[1:]))
        for name, number in measures[0].items()
        if all(of.get(name) is not None for of in measures)
    }
    best = [np.sort([*of["best_scores"].values()])[::-1] for of in (own, *others)]
    means = [float(of.mean()) for of in best if of.size]
    scores = Spread(original=means[0], scrambled=tuple(means[1:])) if means else None
    return Scrambled(average_precision=spreads, scores=scores, ranked=(best[0], np.stack(best[1:])))


def _precision(content: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["average_precision"]["video"]
    return found


def _checked(content: Any, name: str) -> Mapping[str, Any]:
    try:
        numbers = [n for n in _precision(content).values() if n is not None]
        numbers += list(content["best_scores"].values())
        if all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers):
            found: Mapping[str, Any] = content
            return found
    except (KeyError, TypeError, AttributeError):
        pass
    raise FormatError(
        f"{name} is no evaluation of videos; expected what regard evaluate --out wrote"
    )
