"""Running the network over a video: windows of frames in, instances out.

Whatever the length of the video, no more than a window of frames is on the device at a time.
Online, what grows is a kilobyte or so for each track and frame, and a temporary file of mask
logits; offline, the object queries of each frame besides, as the refiner looks at all of them.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor

from regard.errors import MediaError
from regard.models.dvis_daq.frame_store import FrameStore
from regard.models.dvis_daq.model import DvisDaq, SegmentedFrames
from regard.models.dvis_daq.output import Row, VideoOutput, best_detections
from regard.models.dvis_daq.predictor import best_score
from regard.models.dvis_daq.refiner import Refined, frame_to_frame
from regard.models.dvis_daq.settings import Settings
from regard.models.dvis_daq.tracks import TrackedFrame, Tracks

Part = Literal["segment", "track", "refine"]
"""What a run is at: frames by themselves, one frame among the tracks, the whole video."""


class Observer:
    """Is told how far a run is; this one does nothing with it."""

    def begin(self, part: Part, *, window: int = 0, frame: int = 0) -> None:
        """A part of the run begins; ``frame`` is the first one that it looks at."""

    def tracked(self, frame: TrackedFrame) -> None:
        """The tracker is done with a frame."""


OUTSIDE_LIFE = -1e4
"""Mask logit where a track does not live."""


@torch.no_grad()
def run_video(
    model: DvisDaq,
    frames: Iterable[Tensor],
    settings: Settings,
    *,
    observer: Observer | None = None,
) -> VideoOutput:
    """What the model says about a video.

    Args:
        model: In evaluation mode; it runs on the device that it is on.
        frames: (3, height, width) each, normalised and padded, all of one size. They are taken
            one by one, as they are needed.
        settings: Thresholds, windows, limits.
        observer: Is told how far the run is.

    Raises:
        MediaError: There is no frame, or a frame is of another size than the first.
    """
    return VideoRun(model, settings, observer or Observer()).over(frames)


class VideoRun:
    """State of one run over a video: `add_frame` by frame, then `result`."""

    def __init__(self, model: DvisDaq, settings: Settings, observer: Observer) -> None:
        self.model, self.settings, self.observer = model, settings, observer
        self.device = model.learned_queries.device
        self.tracks = Tracks(
            max_unseen_frames=settings.max_unseen_frames, max_alive=settings.max_tracks
        )
        self.tracked: list[TrackedFrame] = []
        self.windows: list[range] = []
        self.level_sizes_hw: tuple[tuple[int, int], ...] = ()
        self.store = FrameStore()  # online: masks of the living tracks; offline: mask features
        self.embeds: list[Tensor] = []  # of the frame queries, for the refiner
        self.logits: list[Tensor] = []

    def over(self, frames: Iterable[Tensor]) -> VideoOutput:
        """What the model says about these frames."""
        try:
            for window in _windows(frames, self.settings.window):
                self._window(window.to(self.device))
            return self.result()
        except BaseException:
            self.store.close()
            raise

    def _window(self, pixels: Tensor) -> None:
        first, index = len(self.tracked), len(self.windows)
        self.windows.append(range(first, first + len(pixels)))
        self.observer.begin("segment", window=index, frame=first)
        segmented = self.model(pixels)
        self.level_sizes_hw = segmented.level_sizes_hw
        for offset in range(len(pixels)):
            self.observer.begin("track", window=index, frame=first + offset)
            self.add_frame(segmented, offset)

    def add_frame(self, segmented: SegmentedFrames, offset: int) -> None:
        """Go on with the frame at ``offset`` among those that were segmented."""
        queries, features = segmented.queries, segmented.mask_features[offset]
        output = self.model.tracker(
            self.tracks,
            len(self.tracked),
            embeds=queries.embeds[offset],
            scores=queries.scores[offset],
            masks=queries.masks[offset],
            mask_features=features,
            learned_queries=self.model.learned_queries,
            settings=self.settings,
        )
        self.tracked.append(output.tracked)
        self.observer.tracked(output.tracked)
        if self.model.refiner is None:
            self.store.append(output.masks[list(output.tracked.left_queries)])
        else:
            self.store.append(features)
            self.embeds.append(queries.embeds[offset])
            self.logits.append(queries.logits[offset])

    def result(self) -> VideoOutput:
        """What the model says about the frames so far.

        Raises:
            MediaError: There is none.
        """
        if not self.tracked:
            raise MediaError("the video has no frames; expected at least one")
        return self._refined() if self.model.refiner else self._online()

    def _track_rows(self) -> list[Row]:
        """Tracks that are no noise: long enough, or still there when the video ends."""
        return [
            Row(track=track, chain=None, logits=torch.stack(track.logits).mean(0))
            for track in self.tracks
            if len(track) >= self.settings.min_frames or track.end == len(self.tracked)
        ]

    def _online(self) -> VideoOutput:
        rows = self._track_rows()

        def masks(frame: int, chosen: list[int]) -> Tensor:
            stored, left = self.store[frame], self.tracked[frame].left
            logits = stored.new_full((len(chosen), *stored.shape[1:]), OUTSIDE_LIFE)
            for place, row in enumerate(chosen):
                track = rows[row].track
                if track is not None and track.id in left:
                    logits[place] = stored[left.index(track.id)]
            return logits.to(self.device)

        return self._output(rows, None, masks)

    def _refined(self) -> VideoOutput:
        refiner = self.model.refiner
        assert refiner is not None
        rows, inputs, frame_queries = self.rows_to_refine()
        self.observer.begin("refine")
        refined = refiner(inputs, frame_queries)
        rows = [
            Row(track=row.track, chain=row.chain, logits=logits)
            for row, logits in zip(rows, refined.logits, strict=True)
        ]

        @torch.no_grad()
        def masks(frame: int, chosen: list[int]) -> Tensor:
            features = self.store[frame].to(self.device)
            return refiner.masks(refined, frame, features)[chosen].float()

        return self._output(rows, refined, masks)

    def rows_to_refine(self) -> tuple[list[Row], Tensor, Tensor]:
        """What the refiner looks at: rows, what stands in them, and the frames' queries.

        Returns:
            The rows, their values (rows, frames, channels), and the object queries of each frame
            (frames, queries, channels).
        """
        frame_queries = torch.stack(self.embeds)
        rows = self._best(self._track_rows(), self.settings.refined_tracks)
        wanted = self.settings.new_instances or frame_queries.shape[1]
        rows += self._chains(frame_queries, wanted - len(rows))
        values = torch.stack([self._over_time(row, frame_queries) for row in rows])
        return rows, values, frame_queries

    def _chains(self, frame_queries: Tensor, count: int) -> list[Row]:
        """Rows of frame queries that are linked from frame to frame by similarity alone."""
        if count <= 0:
            return []
        links = frame_to_frame(frame_queries)
        logits = torch.stack(self.logits)
        chained = logits.gather(1, links[..., None].expand(-1, -1, logits.shape[2])).mean(0)
        rows = [
            Row(track=None, chain=tuple(queries), logits=mean)
            for queries, mean in zip(links.T.tolist(), chained, strict=True)
        ]
        return self._best(rows, count)

    @staticmethod
    def _best(rows: list[Row], count: int) -> list[Row]:
        """The ``count`` rows of the highest scores, in the order in which they were."""
        if len(rows) <= count:
            return rows
        scores = best_score(torch.stack([row.logits for row in rows]))
        return [rows[index] for index in sorted(scores.topk(count).indices.tolist())]

    def _over_time(self, row: Row, frame_queries: Tensor) -> Tensor:
        """Input of the refiner for one row, (frames, channels)."""
        count = len(self.tracked)
        if row.track is None:
            assert row.chain is not None
            return frame_queries[torch.arange(count), list(row.chain)]
        track = row.track
        before = track.position.expand(track.start, -1)
        after = track.position.expand(count - track.end, -1)
        return torch.cat([before, torch.stack(track.embeds), after])

    def _output(
        self, rows: list[Row], refined: Refined | None, masks: Callable[[int, list[int]], Tensor]
    ) -> VideoOutput:
        return VideoOutput(
            detections=best_detections(rows, self.settings.max_instances),
            rows=rows,
            tracked=self.tracked,
            windows=self.windows,
            level_sizes_hw=self.level_sizes_hw,
            refined=refined,
            _masks=masks,
            _store=self.store,
        )


def _windows(frames: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """The frames in windows, (frames, 3, height, width)."""
    window: list[Tensor] = []
    shape = None
    for index, frame in enumerate(frames):
        shape = shape or frame.shape
        if frame.shape != shape:
            raise MediaError(
                f"frame {index} is {tuple(frame.shape)} after preparation, the frames before are "
                f"{tuple(shape)}; all frames of a video must be of one size"
            )
        window.append(frame)
        if len(window) == size:
            yield torch.stack(window)
            window = []
    if window:
        yield torch.stack(window)
