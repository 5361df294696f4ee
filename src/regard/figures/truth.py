"""What an instance really is: the annotated object that it overlaps most."""

from dataclasses import dataclass
from typing import Any

from regard.datasets.ytvis_tracks import YtvisTruth
from regard.figures.subject import Subject
from regard.summaries.objects import Objects


@dataclass(frozen=True)
class Truth:
    """The annotated object that an instance is, for people, and where it is annotated."""

    words: str
    """Such as "truth: disc, object 2, overlap 0.83", or that it is none of them."""
    frames: tuple[int, ...]
    """Frames, among those that were run, in which the object is annotated."""

    @classmethod
    def of(cls, subject: Subject, truth: YtvisTruth) -> "Truth | None":
        """Of an instance; None for object queries, which are no object.

        Raises:
            FormatError: The annotations are of other frames, or lack the video.
        """
        if subject.instance is None:
            return None
        objects = Objects(subject.video, truth)
        match = objects.match(subject.instance)
        if match is None:
            return cls("truth: overlaps no annotated object", ())
        words = f"truth: {objects.category(match.object)}, object {match.object}"
        return cls(f"{words}, overlap {match.overlap:.2f}", tuple(objects.present(match.object)))

    def words_in(self, frame: int) -> str:
        """What is written on a frame."""
        is_gone = bool(self.frames) and frame not in self.frames
        return self.words + (" \N{MIDDLE DOT} not annotated here" if is_gone else "")

    def choices(self) -> dict[str, Any]:
        """What the bytes of a film depend on."""
        return {"words": self.words, "frames": list(self.frames)}
