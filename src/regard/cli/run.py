"""`regard run`: a model over a dataset of videos, with its attention kept."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from regard.cli.folders import require_folder
from regard.cli.runs import load_model, resumable, tell_failed
from regard.cli.terminal import complain, plain

if TYPE_CHECKING:
    from regard.runs.run_videos import Engine


def run(
    dataset: Path,
    /,
    *,
    model: str,
    out: Path,
    images: Path | None = None,
    online: Annotated[bool | None, Parameter(negative="--offline", show_default=False)] = None,
    config: Path | None = None,
    keep: Literal["predicted", "all", "maps"] = "predicted",
    layers: Annotated[list[int] | None, Parameter(consume_multiple=True)] = None,
    short_side_px: Annotated[int | None, Parameter(validator=Number(gte=32))] = None,
    engine: Literal["local", "ray"] = "local",
    workers: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    device: str = "cpu",
) -> int:
    """Run a model over a YTVIS dataset, and keep where it looked.

    OUT becomes a run: inference/results.json as the YTVIS evaluation takes it, and
    attention_maps/. A run that was stopped goes on when the same command is given again. A video
    that cannot be read is told; the others are run, and the exit code is 1.

    Parameters
    ----------
    dataset
        YTVIS JSON file; its categories are those of the model, its annotations are not read.
    model
        mini-dvis-daq, which is shipped; or an official DVIS-DAQ checkpoint, .pth, .pkl or
        .safetensors.
    out
        Folder of the run.
    images
        Folder that the dataset's file names begin in; by default JPEGImages beside the dataset.
    online
        Leave out the refiner, so that each frame is decided without those after it; --offline
        demands one. By default the model runs as it comes.
    config
        The model's YAML file of upstream; without it the settings that come with the model hold,
        or those of the OVIS models.
    keep
        "predicted": what the found instances looked with; "all": every attention call; "maps":
        finished maps only.
    layers
        Layers of the predictor that are kept, with strides 32, 16, 8, 32, ...; by default the last
        three.
    short_side_px
        Short side of what the model sees; 480 where neither config nor model says another.
    engine
        "local": one video after the other in this process; "ray": on a Ray cluster, or on this
        machine if there is none.
    workers
        Processes that hold the model ("ray").
    device
        Where the model runs: cpu, cuda, mps.
    """
    require_folder(out)
    from regard.cli.run_progress import RunProgress
    from regard.runs.dataset import dataset_run
    from regard.runs.job import Job
    from regard.runs.run_videos import counted, run_here, run_videos

    loaded, settings = load_model(model, online, config, short_side_px)
    job = Job(network=loaded.network, settings=settings, keep=keep, layers=layers, device=device)
    about, sources = dataset_run(dataset, images, job, Path(model).name, out)
    chosen: Engine = run_here
    if engine == "ray":
        from regard.runs.ray_engine import ray_engine

        chosen = ray_engine(workers)
    with RunProgress() as progress, resumable(out):
        outcome = run_videos(
            out, about, job, sources, engine=chosen, progress=progress, notify=complain
        )
    before = f", {outcome.done_before} of them before" if outcome.done_before else ""
    done = counted(len(outcome.run.videos), "video")
    print(plain(f"{dataset} -> {out}  ({done} done{before})"))
    return tell_failed(outcome.failed, len(sources), "videos")
