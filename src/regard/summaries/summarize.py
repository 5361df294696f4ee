"""Sum up a run over videos: `regard.summarize`."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regard.analysis.divergence import PermutationTest
from regard.datasets.ytvis_tracks import YtvisTruth, read_truth
from regard.errors import CaptureError, MediaError, SelectionError
from regard.runs import RecordedInstance, RecordedVideo, Run, open_run
from regard.runs.about import RUN_JSON
from regard.runs.folder import RunFolder, write_sealed
from regard.summaries.choice import Choice
from regard.summaries.comparison import compare_runs
from regard.summaries.importance import (
    csv_name,
    importance,
    top_frames_csv,
    top_prediction,
)
from regard.summaries.objects import Objects, frames_with_fish, run_order
from regard.summaries.plots import (
    plot_comparison,
    plot_divergences,
    plot_importance,
    plot_permutations,
    plot_sorted,
    plot_tracker,
)
from regard.summaries.regions import Region, read_regions, region_summary
from regard.summaries.tracker import (
    Weights,
    temporal_summary,
    top5_entry,
    tracker_summary,
    tracker_weights,
)

FORMAT, VERSION = "regard-summary", 1
SUMMARY_UNIT = "summary"
SUMMARY_JSON = "inference/summary.json"
TOP_PREDICTIONS = "inference/activation_proj_top_predictions.json"
TRACKER_TOP5 = "inference/tracker_attention_top5.json"
FRAMES_WITH_FISH = "inference/val_frames_with_fish.json"

Source = str | os.PathLike[str] | Run


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a run says; written into it."""

    content: Mapping[str, Any] = field(repr=False)
    """As ``inference/summary.json`` holds it."""
    written: tuple[Path, ...]
    """Files, in the order in which they were written."""

    @property
    def not_available(self) -> Mapping[str, Sequence[str]]:
        """Why something is missing, and of which instances."""
        found: Mapping[str, Sequence[str]] = self.content["not_available"]
        return found


def summarize(
    run: Source,
    *,
    annotations: str | os.PathLike[str] | None = None,
    against: Source | None = None,
    regions: str | os.PathLike[str] | None = None,
    choice: Choice | None = None,
    share: float = 0.75,
    max_frames: int | None = None,
    permutations: int = 10_000,
    seed: int = 42,
    plots: bool = True,
    on_video: Callable[[str], None] | None = None,
) -> Summary:
    """Sum up what a run recorded, and write it into the run.

    Args:
        run: Folder of a run, ours or of the DVIS attention pipeline, or the opened run.
        annotations: Annotated YTVIS file of the videos: frames of objects, which instance is
            which object, attention inside of objects.
        against: Another run over the same videos, which importance is compared with.
        regions: File of named regions; see `regard.summaries.regions`.
        choice: Which instances; by default the best of each video.
        share: Share of importance that the frames of the CSV file hold together.
        max_frames: Most frames of a video in the CSV file.
        permutations: How many are made for a comparison.
        seed: Of the permutations.
        plots: Whether to draw.
        on_video: Called with the name of each video when its turn comes.

    Raises:
        FormatError: A file that is damaged, or does not fit the run.
        SelectionError: Nothing fits the choice; the runs share no video.
        RunError: The run cannot be written to.
        MediaError: There is no such folder.
    """
    own = run if isinstance(run, Run) else open_run(run)
    truth = None if annotations is None else read_truth(annotations)
    named = [] if regions is None else read_regions(Path(regions))
    chosen = choice or Choice()
    chosen.check([own.video(name) for name in own.videos])
    work = _Work(own, truth, named, chosen, plots)
    for name in own.videos:
        if on_video is not None:
            on_video(name)
        work.add(own.video(name))
    if against is not None:
        other = against if isinstance(against, Run) else open_run(against)
        work.compare(other, permutations=permutations, seed=seed)
    work.finish(share, max_frames)
    return Summary(content=work.content, written=tuple(_write(own, work.files)))


class _Work:
    """Files of a summary, as they come to be."""

    def __init__(
        self,
        run: Run,
        truth: YtvisTruth | None,
        regions: Sequence[Region],
        choice: Choice,
        draws: bool,
    ) -> None:
        self.run, self.truth, self.regions = run, truth, regions
        self.choice, self.draws = choice, draws
        self.files: dict[str, bytes] = {}
        self.objects: dict[str, Objects] = {}
        self.true_categories: dict[str, int] = {}
        self.tops: dict[str, dict[str, Any]] = {}
        self.top5: dict[str, dict[str, Any]] = {}
        self.missing: dict[str, list[str]] = {}
        self.content: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "run": run_name(run),
            "annotations": None if truth is None else truth.path.name,
            "videos": {},
            "comparison": None,
            "not_available": self.missing,
        }

    def add(self, video: RecordedVideo) -> None:
        """Sum up one video."""
        order = run_order(video)
        of: dict[str, Any] = {
            "frames": video.frame_count,
            "frame_indices": list(video.frame_indices),
            "original_places": order,
            "objects": None,
        }
        if self.truth is not None:
            self.objects[video.id] = Objects(video, self.truth)
            of["objects"] = self.objects[video.id].to_json()
        of["instances"] = [self._instance(video, *each, order) for each in self.choice.of(video)]
        self.content["videos"][video.id] = of

    def _instance(
        self,
        video: RecordedVideo,
        place: int,
        instance: RecordedInstance,
        order: Sequence[int] | None,
    ) -> dict[str, Any]:
        who = f"video {video.id}, instance {place}"
        objects = self.objects.get(video.id)
        match = None if objects is None else objects.match(instance)
        annotated = None if objects is None or match is None else objects.present(match.object)
        told = self._importance(video, place, instance, annotated, order)
        if objects is not None and match is not None and video.id in self.tops:
            category = objects.tracks[match.object].category_id
            self.true_categories.setdefault(video.id, category)
        weights = None if told is None else told["weights"]
        return {
            "instance": place,
            "row": instance.row,
            "track": instance.track_id,
            "category_id": instance.category_id,
            "category": instance.category,
            "score": instance.score,
            "life": [instance.life.start, instance.life.stop],
            "object": None
            if match is None
            else {"index": match.object, "overlap": match.overlap, "is_right": match.is_right},
            "importance": told,
            "tracker": self._tracker(video, place, instance),
            "temporal": self._try(
                "temporal attention", who, lambda: temporal_summary(video, instance.row)
            ),
            "regions": self._try(
                "attention in regions",
                who,
                lambda: region_summary(video, instance, self.regions, objects, weights),
            ),
        }

    def _importance(
        self,
        video: RecordedVideo,
        place: int,
        instance: RecordedInstance,
        annotated: Sequence[int] | None,
        order: Sequence[int] | None,
    ) -> dict[str, Any] | None:
        who = f"video {video.id}, instance {place}"
        told = self._try("frame importance", who, lambda: importance(video, instance, annotated))
        if told is None:
            return None
        if video.id not in self.tops:
            entry = top_prediction(video, instance, self.content["run"], order)
            self.tops[video.id] = entry
        if self.draws:
            title = f"{_about(video, instance)}: importance of frames"
            stem = f"plots/video_{video.id}_instance_{place}"
            self.files[f"{stem}_importance.png"] = plot_importance(
                told["weights"], title=title, annotated=annotated, alive=told["alive"]
            )
            self.files[f"{stem}_importance_sorted.png"] = plot_sorted(
                told["weights"], title=title, annotated=annotated
            )
        return told

    def _tracker(
        self, video: RecordedVideo, place: int, instance: RecordedInstance
    ) -> dict[str, Any] | None:
        who = f"video {video.id}, instance {place}"
        if instance.track_id is None:
            self._miss("tracker attention", who, "it is no track, but linked by similarity")
            return None

        def told() -> dict[str, Any]:
            cross = tracker_weights(video, instance.row)
            self.top5.setdefault(video.id, top5_entry(instance.row, instance.track_id, cross))
            if self.draws and any(cross.values()):
                self._draw_tracker(video, place, instance, cross)
            return tracker_summary(
                video, instance, cross, lambda what, error: self._miss(what, who, str(error))
            )

        return self._try("tracker attention", who, told)

    def _draw_tracker(
        self, video: RecordedVideo, place: int, instance: RecordedInstance, cross: Weights
    ) -> None:
        title = f"{_about(video, instance)}: object queries that its track draws on"
        name = f"plots/video_{video.id}_instance_{place}_tracker.png"
        self.files[name] = plot_tracker(cross, title=title, frames=video.frame_count)

    def compare(self, other: Run, *, permutations: int, seed: int) -> None:
        """Compare importance with another run, and draw both."""
        work = _Work(other, None, (), self.choice, draws=False)
        for name in other.videos:
            video = other.video(name)
            for place, instance in self.choice.of(video)[:1]:
                work._importance(video, place, instance, None, run_order(video))
        for reason, who in work.missing.items():
            self.missing.setdefault(f"{run_name(other)}: {reason}", []).extend(who)
        told, tests = compare_runs(self.tops, work.tops, permutations=permutations, seed=seed)
        self.content["comparison"] = {"run": run_name(other)} | told
        self._draw_comparison(work.tops, told, tests)
        for video, entry in work.tops.items():
            self.tops[video] = [self.tops[video], entry] if video in self.tops else entry

    def _draw_comparison(
        self,
        tops: Mapping[str, Mapping[str, Any]],
        told: Mapping[str, Any],
        tests: Mapping[str, PermutationTest],
    ) -> None:
        if not self.draws:
            return
        names = (self.content["run"], told_name(self.content))
        for video, bits in told["videos"].items():
            pair = [of[video]["activation_vector_unnormalized"] for of in (self.tops, tops)]
            self.files[f"plots/video_{video}_comparison.png"] = plot_comparison(
                *pair,
                names=names,
                title=f"video {video}: importance of frames, divergence {bits:.3g} bits",
                annotated=self._annotated_in_order(video),
            )
        for kind, test in tests.items():
            self.files[f"plots/permutation_test_{kind}.png"] = plot_permutations(test, names=names)
        self.files["plots/divergence_by_video.png"] = plot_divergences(told["videos"], names=names)

    def _annotated_in_order(self, video: str) -> list[int] | None:
        """Annotated frames of a video in the original order, which comparisons are drawn in."""
        if video not in self.objects:
            return None
        order = self.content["videos"][video]["original_places"]
        frames = self.objects[video].annotated
        return frames if order is None else sorted(order[frame] for frame in frames)

    def finish(self, share: float, max_frames: int | None) -> None:
        """Make the files of all videos."""
        first = {v: e[0] if isinstance(e, list) else e for v, e in self.tops.items()}
        mine = {v: e for v, e in first.items() if e["model_name"] == self.content["run"]}
        table = top_frames_csv(mine, self.true_categories, share, max_frames)
        self.files[TOP_PREDICTIONS] = _json(self.tops)
        self.files[f"inference/{csv_name(share, max_frames)}"] = table
        self.files[TRACKER_TOP5] = _json(self.top5)
        if self.truth is not None:
            self.files[FRAMES_WITH_FISH] = _json(frames_with_fish(self.objects))
        self.files[SUMMARY_JSON] = _json(self.content)

    def _try(self, what: str, who: str, tell: Callable[[], dict[str, Any]]) -> Any:
        try:
            return tell()
        except (SelectionError, CaptureError) as error:
            self._miss(what, who, str(error))
            return None

    def _miss(self, what: str, who: str, reason: str) -> None:
        self.missing.setdefault(f"{what}: {reason}", []).append(who)


def run_name(run: Run) -> str:
    """What a run is called: its folder."""
    return run.path.resolve().name


def told_name(content: Mapping[str, Any]) -> str:
    """Name of the run that was compared with."""
    name: str = content["comparison"]["run"]
    return name


def _about(video: RecordedVideo, instance: RecordedInstance) -> str:
    return f"video {video.id}, {instance.category} (score {instance.score:.2f})"


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


def _write(run: Run, files: Mapping[str, bytes]) -> Iterator[Path]:
    """Write into a run: one of ours vouches for the files in its journal."""
    if (run.path / RUN_JSON).is_file():
        with RunFolder(run.path) as folder:
            folder.add(SUMMARY_UNIT, files.items())
    elif run.path.is_dir():
        for name, data in files.items():
            write_sealed(run.path, name, data)
    else:
        raise MediaError(f"{str(run.path)!r} is no folder any more")
    yield from (run.path / name for name in files)
