"""Which instances and object queries of a video are looked at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from regard.errors import SelectionError
from regard.runs.recorded_video import RecordedInstance, RecordedVideo


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which instances; of several conditions all must hold."""

    best: int | None = 1
    """At most so many, best first; None for all."""
    places: Sequence[int] = ()
    """These places in the list of instances."""
    skips_missing: bool = False
    """Whether a video that lacks one of these places has the others, instead of an error."""
    category: str | None = None
    """Those of one class, by name or number."""
    track: int | None = None
    """Those that are this track."""
    queries: Sequence[int] = ()
    """Object queries, besides."""

    def of(self, video: RecordedVideo) -> list[tuple[int, RecordedInstance]]:
        """Places and instances of a video, best first; asked-for places in the order asked.

        Raises:
            SelectionError: A place that the video does not have.
        """
        count = len(video.instances)
        places: Iterable[int] = dict.fromkeys(self.places) or range(count)
        if self.skips_missing:
            places = (place for place in places if place < count)
        found = [(place, video.instance(place)) for place in places]
        fitting = [(place, instance) for place, instance in found if self._fits(instance)]
        return fitting if self.best is None or self.places else fitting[: self.best]

    def _fits(self, instance: RecordedInstance) -> bool:
        is_class = self.category is None or self.category.casefold() in (
            instance.category.casefold(),
            str(instance.category_id),
        )
        return is_class and (self.track is None or instance.track_id == self.track)

    def check(self, videos: Sequence[RecordedVideo]) -> None:
        """Refuse a class or a track that no video has.

        Raises:
            SelectionError: Nothing was found that fits.
        """
        if (self.category is None and self.track is None) or any(map(self.of, videos)):
            return
        found = [one for video in videos for one in video.instances]
        wanted, there = [], []
        if self.category is not None:
            wanted.append(f"class {self.category!r}")
            there += sorted({one.category for one in found})
        if self.track is not None:
            wanted.append(f"track {self.track}")
            tracks = {one.track_id for one in found if one.track_id is not None}
            there += [str(track) for track in sorted(tracks)]
        where = f"video {videos[0].id!r}" if len(videos) == 1 else "any video"
        raise SelectionError(
            f"nothing in {where} is {' and '.join(wanted)}; there are {_few(there)}"
        )


def _few(names: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(names[:most]) or "none"
    return f"{shown}, ... ({len(names)})" if len(names) > most else shown
