"""Caches of keys that grow by a few rows at each step of generation, kept once.

The keys of step t are the first rows of those of step t + 1. So that n steps take memory in n and
not in its square, the keys of a step are let go of when those of the next begin with them, and
read from there. The same holds for the sampled values, and for masks of one row.
"""

from weakref import ref

from regard.kept import Kept
from regard.sample import OutputSample
from regard.scores import Scores

Place = tuple[str, int]


class Growth:
    """Follows what each layer keeps from one of its passes to the next."""

    def __init__(self) -> None:
        self._before: dict[Place, tuple[tuple[int, ...], list[ref[Kept]]]] = {}

    def follow(self, place: Place, scores: Scores | None, sample: OutputSample | None) -> bool:
        """Let the tensors of the pass before lean on these, if these begin with them.

        Args:
            place: Path of the layer, and which of its calls in this pass.
            scores: The new call's program.
            sample: The new call's sample.

        Returns:
            Whether the keys look like a cache that has grown by as many rows as there are queries.
        """
        if scores is None:
            return False
        shape = tuple(scores.k.shape)
        now = [scores.k, *([] if sample is None else [sample.values]), *_rows(scores)]
        before, old = self._before.get(place, ((), []))
        self._before[place] = (shape, [ref(kept) for kept in now])
        if not _has_grown(before, shape, by=scores.q.shape[-2]):
            return False
        if len(old) == len(now):
            for reference, kept in zip(old, now, strict=True):
                earlier = reference()
                if earlier is not None:
                    earlier.lean_on(kept)
        return True


def _rows(scores: Scores) -> list[Kept]:
    """Masks that are one row: as long as the keys, they would be kept anew at each step."""
    with_operands = (step for step in scores.steps if step.operands)
    return [kept for step in with_operands for kept in step.kept if kept.shape[-2:-1] == (1,)]


def _has_grown(before: tuple[int, ...], now: tuple[int, ...], *, by: int) -> bool:
    if len(before) != len(now):
        return False
    return (*before[:-2], before[-2] + by, before[-1]) == now
