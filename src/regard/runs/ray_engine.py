"""Running the videos of a run on Ray: workers hold the model, a unit of work is a video.

Workers write the files of a video; the journal is written by the program that started the run, and
by nobody else. A worker that dies costs the video that it was at, which another one takes up.

Source: Moritz et al. 2018, "Ray: A Distributed Framework for Emerging AI Applications".
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from regard.errors import MissingDependency
from regard.runs.job import Job, Source
from regard.runs.journal import Unit
from regard.runs.run_videos import Engine, Progress, attempt

ATTEMPTS = 3
"""So many workers may die of a video before it is given up."""


def ray_engine(workers: int) -> Engine:
    """An engine of so many workers, on the cluster that ``RAY_ADDRESS`` names or on this machine.

    Every machine of the cluster must see the run and the videos under the same paths.

    Raises:
        MissingDependency: Ray is not installed.
    """
    ray = _require_ray()

    def engine(
        path: Path, job: Job, sources: Sequence[Source], progress: Progress
    ) -> Iterator[tuple[Source, Unit | str]]:
        if not sources:
            return
        started_here = not ray.is_initialized()
        if started_here:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
        try:
            yield from _Pool(ray, path, job, min(workers, len(sources))).run(sources, progress)
        finally:
            if started_here:
                ray.shutdown()

    return engine


class Worker:
    """Holds the model, and runs a video when it is told to."""

    def __init__(self, path: Path, job: Job) -> None:
        import torch

        torch.set_num_threads(1)
        self._path, self._job = path.resolve(), job

    def run(self, source: Source) -> Unit | str:
        """The unit of work of a video, or why it failed."""
        return attempt(self._path, self._job, source, Progress())


class _Pool:
    """Workers, and the videos that they are at."""

    def __init__(self, ray: Any, path: Path, job: Job, count: int) -> None:
        self._ray, self._path = ray, path
        self._job = ray.put(job)  # one copy for all workers of a machine
        resources = {"num_gpus": 1} if job.device.startswith("cuda") else {"num_cpus": 1}
        self._worker = ray.remote(**resources, max_restarts=0)(Worker)
        self._idle = [self._new() for _ in range(count)]

    def run(
        self, sources: Sequence[Source], progress: Progress
    ) -> Iterator[tuple[Source, Unit | str]]:
        """Each video with its unit of work or why it failed, as they end."""
        waiting = [(source, 1) for source in reversed(sources)]
        running: dict[Any, tuple[Source, int, Any]] = {}
        while waiting or running:
            while waiting and self._idle:
                source, attempts = waiting.pop()
                worker = self._idle.pop()
                progress.begin(source.name, None)
                running[worker.run.remote(source)] = source, attempts, worker
            (ended,), _ = self._ray.wait(list(running), num_returns=1)
            source, attempts, worker = running.pop(ended)
            outcome = self._outcome(ended)
            self._idle.append(self._new() if outcome is None else worker)
            if outcome is None and attempts < ATTEMPTS:
                waiting.append((source, attempts + 1))
                continue
            outcome = outcome or f"{ATTEMPTS} workers died of it"
            yield source, outcome
            progress.end(source.name, None if isinstance(outcome, Unit) else outcome)

    def _outcome(self, ended: Any) -> Unit | str | None:
        """What a worker says of a video; ``None`` if it died."""
        try:
            outcome: Unit | str = self._ray.get(ended)
        except self._ray.exceptions.RayActorError:
            return None
        return outcome

    def _new(self) -> Any:
        return self._worker.remote(self._path, self._job)


def _require_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingDependency(
            'runs on Ray need the package ray: pip install "regard[ray]"'
        ) from error
    return ray
