"""Everything that a summary of a run consists of, as its videos are gone through.

What a run did not keep is missing from its summary, and why is told: nothing is left out silently.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from regard.analysis.divergence import PermutationTest
from regard.datasets.ytvis_tracks import YtvisTruth
from regard.errors import CaptureError, SelectionError
from regard.file_names import safe_name
from regard.runs import RecordedInstance, RecordedVideo, Run
from regard.runs.choice import Choice
from regard.summaries.comparison import compare_runs
from regard.summaries.importance import csv_name, importance, top_frames_csv, top_prediction
from regard.summaries.objects import Match, Objects, frames_with_fish, run_order
from regard.summaries.plots import (
    plot_comparison,
    plot_divergences,
    plot_importance,
    plot_permutations,
    plot_sorted,
    plot_tracker,
)
from regard.summaries.regions import Region, instance_regions, query_regions
from regard.summaries.tracker import (
    Claims,
    claims_of,
    query_users,
    temporal_summary,
    top5_entry,
    tracker_summary,
    tracker_weights,
)

FORMAT, VERSION = "regard-summary", 1
SUMMARY_JSON = "inference/summary.json"
TOP_PREDICTIONS = "inference/activation_proj_top_predictions.json"
TRACKER_TOP5 = "inference/tracker_attention_top5.json"
FRAMES_WITH_FISH = "inference/val_frames_with_fish.json"

Entry = dict[str, Any]


class RunSummary:
    """A summary in the making.

    Args:
        run: What is summed up.
        choice: Which instances and object queries.
        truth: Annotations of its videos.
        regions: Of a file.
        draws: Whether there are plots.
    """

    def __init__(
        self,
        run: Run,
        choice: Choice,
        truth: YtvisTruth | None = None,
        regions: Sequence[Region] = (),
        *,
        draws: bool = False,
    ) -> None:
        self.name = run.path.resolve().name
        self.files: dict[str, bytes] = {}
        self.missing: dict[str, Entry] = {}
        self.content: Entry = {
            "format": FORMAT,
            "version": VERSION,
            "run": self.name,
            "annotations": None if truth is None else truth.path.name,
            "videos": {},
            "comparison": None,
            "not_available": self.missing,
        }
        self._run, self._choice, self._draws = run, choice, draws
        self._truth, self._regions = truth, regions
        self._objects: dict[str, Objects] = {}
        self._true_categories: dict[str, int] = {}
        self._tops: dict[str, Entry] = {}
        self._other_tops: dict[str, Entry] = {}
        self._top5: dict[str, Entry] = {}
        self._claims: tuple[str, Claims] = ("", ())  # of the video that is gone through

    def add(self, video: RecordedVideo) -> None:
        """Sum up one video."""
        of: Entry = {
            "frames": video.frame_count,
            "frame_indices": list(video.frame_indices),
            "original_places": run_order(video),
            "objects": None,
        }
        if self._truth is not None:
            self._objects[video.id] = Objects(video, self._truth)
            of["objects"] = self._objects[video.id].to_json()
        of["instances"] = [self._instance(video, *each) for each in self._choice.of(video)]
        of["queries"] = [self._query(video, query) for query in self._choice.queries]
        self.content["videos"][video.id] = of

    def compare(self, other: Run, *, permutations: int, seed: int) -> None:
        """Compare importance with that of another run, and draw both."""
        theirs = RunSummary(other, self._choice)
        for name in other.videos:
            video = other.video(name)
            for place, instance in self._choice.of(video)[:1]:
                theirs._importance(video, place, instance, None)
        self.missing |= {f"{what} of {theirs.name}": of for what, of in theirs.missing.items()}
        told, tests = compare_runs(self._tops, theirs._tops, permutations=permutations, seed=seed)
        self.content["comparison"] = {"run": theirs.name} | told
        self._other_tops = theirs._tops
        if self._draws:
            self._draw_comparison((self.name, theirs.name), told["videos"], tests)

    def finish(self, share: float, max_frames: int | None) -> None:
        """Make the files of all videos."""
        both: dict[str, Any] = {**self._other_tops, **self._tops}
        for video in self._tops.keys() & self._other_tops.keys():
            both[video] = [self._tops[video], self._other_tops[video]]
        table = top_frames_csv(self._tops, self._true_categories, share, max_frames)
        self.files[TOP_PREDICTIONS] = _json(dict(sorted(both.items())))
        self.files[f"inference/{csv_name(share, max_frames)}"] = table
        self.files[TRACKER_TOP5] = _json(self._top5)
        if self._truth is not None:
            self.files[FRAMES_WITH_FISH] = _json(frames_with_fish(self._objects))
        self.files[SUMMARY_JSON] = _json(self.content)

    def _instance(self, video: RecordedVideo, place: int, instance: RecordedInstance) -> Entry:
        who = f"video {video.id}, instance {place}"
        objects = self._objects.get(video.id)
        match = None if objects is None else objects.match(instance)
        told = self._importance(video, place, instance, match)
        weights = None if told is None else told["weights"]
        return {
            "instance": place,
            "row": instance.row,
            "track": instance.track_id,
            "category_id": instance.category_id,
            "category": instance.category,
            "score": instance.score,
            "life": [instance.life.start, instance.life.stop],
            "object": None if match is None else match.to_json(),
            "importance": told,
            "tracker": self._tracker(video, place, instance),
            "temporal": self._try(
                "temporal attention", who, lambda: temporal_summary(video, instance.row)
            ),
            "regions": self._try(
                "attention in regions",
                who,
                lambda: instance_regions(video, instance, self._regions, objects, weights),
            ),
        }

    def _query(self, video: RecordedVideo, query: int) -> Entry:
        count = video.story.object_queries
        if not 0 <= query < count:
            raise SelectionError(
                f"object query {query} does not exist; video {video.id!r} has {count} in a frame"
            )
        who, objects = f"video {video.id}, object query {query}", self._objects.get(video.id)
        return {
            "query": query,
            "regions": self._try(
                "attention in regions",
                who,
                lambda: query_regions(video, query, self._regions, objects),
            ),
            "used_by": self._try(
                "tracker attention", who, lambda: query_users(query, self._claims_of(video))
            ),
        }

    def _importance(
        self, video: RecordedVideo, place: int, instance: RecordedInstance, match: Match | None
    ) -> Entry | None:
        objects = self._objects.get(video.id)
        annotated = None if objects is None or match is None else objects.present(match.object)
        who = f"video {video.id}, instance {place}"
        told = self._try("frame importance", who, lambda: importance(video, instance, annotated))
        if told is None:
            return None
        if video.id not in self._tops:
            self._tops[video.id] = top_prediction(video, instance, self.name, run_order(video))
            if objects is not None and match is not None:
                self._true_categories[video.id] = objects.tracks[match.object].category_id
        if self._draws:
            title = f"{_about(video, instance)}: importance of frames"
            self.files[_plot(video.id, f"weights_instance_{place}")] = plot_importance(
                told["weights"], title=title, annotated=annotated, alive=told["alive"]
            )
            self.files[_plot(video.id, f"weights_sorted_instance_{place}")] = plot_sorted(
                told["weights"], title=title, annotated=annotated
            )
        found: Entry = told
        return found

    def _tracker(
        self, video: RecordedVideo, place: int, instance: RecordedInstance
    ) -> Entry | None:
        who = f"video {video.id}, instance {place}"
        if instance.track_id is None:
            self._miss("tracker attention", who, "it is no track, but linked by similarity")
            return None

        def told() -> Entry:
            cross = tracker_weights(video, instance.row)
            self._top5.setdefault(video.id, top5_entry(instance.row, instance.track_id, cross))
            if self._draws and any(cross.values()):
                title = f"{_about(video, instance)}: object queries that its track draws on"
                name = _plot(video.id, f"object_queries_instance_{place}")
                self.files[name] = plot_tracker(cross, title=title, frames=video.frame_count)
            return tracker_summary(
                video,
                instance,
                cross,
                self._claims_of(video),
                lambda what, error: self._miss(what, who, str(error)),
            )

        found: Entry | None = self._try("tracker attention", who, told)
        return found

    def _claims_of(self, video: RecordedVideo) -> Claims:
        if self._claims[0] != video.id:
            self._claims = (video.id, claims_of(video))
        return self._claims[1]

    def _draw_comparison(
        self,
        names: tuple[str, str],
        divergences: Mapping[str, float],
        tests: Mapping[str, PermutationTest],
    ) -> None:
        for video, bits in divergences.items():
            pair = [of[video]["activation_vector_unnormalized"] for of in self._both_tops]
            self.files[_plot(video, "comparison")] = plot_comparison(
                *pair,
                names=names,
                title=f"video {video}: importance of frames, divergence {bits:.3g} bits",
                annotated=self._annotated_in_order(video),
            )
        for kind, test in tests.items():
            self.files[f"plots/permutation_test_{kind}.png"] = plot_permutations(test, names=names)
        self.files["plots/divergence_by_video.png"] = plot_divergences(divergences, names=names)

    @property
    def _both_tops(self) -> tuple[dict[str, Entry], dict[str, Entry]]:
        return self._tops, self._other_tops

    def _annotated_in_order(self, video: str) -> list[int] | None:
        """Annotated frames of a video in the original order, which comparisons are drawn in."""
        if video not in self._objects:
            return None
        order = self.content["videos"][video]["original_places"]
        frames = self._objects[video].annotated
        return frames if order is None else sorted(order[frame] for frame in frames)

    def _try(self, what: str, who: str, tell: Callable[[], Any]) -> Any:
        try:
            return tell()
        except (SelectionError, CaptureError) as error:
            self._miss(what, who, str(error))
            return None

    def _miss(self, what: str, who: str, reason: str) -> None:
        entry = self.missing.setdefault(what, {"reason": reason, "of": []})
        entry["of"].append(who)


def _plot(video: str, name: str) -> str:
    """Where a plot of a video goes: beside those of `regard plot`."""
    return f"plots/{safe_name(video, otherwise='video')}/{name}.png"


def _about(video: RecordedVideo, instance: RecordedInstance) -> str:
    return f"video {video.id}, {instance.category} (score {instance.score:.2f})"


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()
