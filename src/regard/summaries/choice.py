"""Which instances and object queries of a video are summed up."""

from collections.abc import Sequence
from dataclasses import dataclass

from regard.errors import SelectionError
from regard.runs import RecordedInstance, RecordedVideo


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which instances; of several conditions all must hold."""

    best: int | None = 1
    """At most so many, best first; None for all."""
    places: Sequence[int] = ()
    """These places in the list of instances."""
    category: str | None = None
    """Those of one class, by name or number."""
    track: int | None = None
    """Those that are this track."""
    queries: Sequence[int] = ()
    """Object queries, besides."""

    def of(self, video: RecordedVideo) -> list[tuple[int, RecordedInstance]]:
        """Places and instances of a video, best first.

        Raises:
            SelectionError: A place that the video does not have.
        """
        for place in self.places:
            video.instance(place)
        found = [
            (place, instance)
            for place, instance in enumerate(video.instances)
            if self._fits(place, instance)
        ]
        return found if self.best is None or self.places else found[: self.best]

    def _fits(self, place: int, instance: RecordedInstance) -> bool:
        is_class = self.category is None or self.category.casefold() in (
            instance.category.casefold(),
            str(instance.category_id),
        )
        is_track = self.track is None or instance.track_id == self.track
        return is_class and is_track and (not self.places or place in self.places)

    def check(self, videos: Sequence[RecordedVideo]) -> None:
        """Refuse a class or a track that no video has.

        Raises:
            SelectionError: Nothing was found that fits.
        """
        if (self.category is None and self.track is None) or any(map(self.of, videos)):
            return
        wanted = [] if self.category is None else [f"class {self.category!r}"]
        wanted += [] if self.track is None else [f"track {self.track}"]
        there = sorted({one.category for video in videos for one in video.instances})
        raise SelectionError(
            f"no instance of {' and '.join(wanted)} was found; classes that were: "
            f"{', '.join(there) or 'none'}"
        )
