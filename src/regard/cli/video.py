"""`regard video`: what a model finds in videos, and where it looks."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from regard.cli.folders import require_folder
from regard.cli.runs import load_model, resumable, tell_failed
from regard.cli.terminal import complain, plain
from regard.errors import MediaError
from regard.file_names import distinct, safe_name

if TYPE_CHECKING:
    from regard.runs.recorded_video import RecordedVideo


def video(
    clips: Annotated[list[Path], Parameter(name="CLIP", consume_multiple=True)],
    /,
    *,
    model: str,
    online: Annotated[bool | None, Parameter(negative="--offline", show_default=False)] = None,
    config: Path | None = None,
    frames: str = ":",
    instances: Annotated[int, Parameter(validator=Number(gte=0))] = 3,
    keep: Literal["predicted", "all", "maps"] = "predicted",
    layers: Annotated[list[int] | None, Parameter(consume_multiple=True)] = None,
    mixing: Literal["weighted", "top", "rollout"] = "weighted",
    temporal: Annotated[bool, Parameter(show_default=False)] = False,
    unmasked: Annotated[bool, Parameter(show_default=False)] = False,
    classes: Path | None = None,
    short_side_px: Annotated[int | None, Parameter(validator=Number(gte=32))] = None,
    colormap: str = "inferno",
    out: Path | None = None,
    device: str = "cpu",
) -> int:
    """Find the instances in videos, and draw where the model looked for each.

    OUT becomes a run: inference/ with masks and scores, attention_maps/ with the kept attention,
    videos/ with the attention over the frames of the best instances. A run that was stopped goes
    on when the same command is given again; more clips can be added to it.

    Parameters
    ----------
    clips
        Video files, or folders of frames.
    model
        mini-dvis-daq, which is shipped; or an official DVIS-DAQ checkpoint, .pth, .pkl or
        .safetensors.
    online
        Leave out the refiner, so that each frame is decided without those after it; --offline
        demands one. By default the model runs as it comes.
    config
        The model's YAML file of upstream; without it the settings that come with the model hold,
        or those of the OVIS models.
    frames
        Which frames: START:STOP or START:STOP:STEP, counted from 0.
    instances
        How many of the best instances are drawn.
    keep
        "predicted": what the found instances looked with; "all": every attention call; "maps":
        finished maps on disk, for long videos.
    layers
        Layers of the predictor that are kept and averaged over, with strides 32, 16, 8, 32, ...;
        by default the last three, 6 to 8 of upstream's models.
    mixing
        How an instance mixes the object queries of a frame: by its tracker's weights, the best
        one alone, or by rollout over the tracker's layers.
    temporal
        Let frames that count more for the class be brighter (offline models).
    unmasked
        Show the attention with every mask left open.
    classes
        YTVIS JSON file that names the model's classes.
    short_side_px
        Short side of what the model sees; 480 where neither config nor model says another.
    colormap
        Any matplotlib colour map.
    out
        Folder of the run; by default regard-out/ and the name of the clip.
    device
        Where the model runs: cpu, cuda, mps.
    """
    from regard.media.frames import FrameRange

    wanted = FrameRange.parse(frames)
    path = out or _own_folder(clips)
    require_folder(path)
    _require_any(clips)
    from regard.cli.run_progress import RunProgress
    from regard.clips.clip import move
    from regard.clips.files import draw_pictures
    from regard.media.video import open_video
    from regard.media.ytvis import read_class_names
    from regard.runs.about import class_categories
    from regard.runs.job import Job, Source
    from regard.runs.run_videos import run_videos

    loaded, settings = load_model(model, online, config, short_side_px)
    names = loaded.class_names if classes is None else read_class_names(classes)
    move(loaded.network, device)  # before anything is written
    job = Job(
        network=loaded.network,
        settings=settings,
        wanted=wanted,
        keep=keep,
        layers=layers,
        device=device,
    )
    sources = [
        Source(name, partial(open_video, clip), clip)
        for name, clip in zip(_names(clips), clips, strict=True)
    ]
    about = job.about(Path(model).name, class_categories(loaded.network, names), sources, path)
    options: dict[str, Any] = {"mixing": mixing} if mixing != "weighted" else {}
    options |= {"temporal": True} if temporal else {}
    options |= {"masked": False} if unmasked else {}
    with RunProgress() as progress, resumable(path):
        outcome = run_videos(path, about, job, sources, progress=progress, notify=complain)
        for source in sources:
            if source.name in outcome.run.videos:
                progress.say(f"drawing {source.name}")
                for _ in draw_pictures(
                    outcome.run, source.name, instances=instances, cmap=colormap, options=options
                ):
                    pass
    for source in sources:
        if source.name in outcome.run.videos:
            _tell(source.path, outcome.run.video(source.name), path)
    return tell_failed(outcome.failed, len(sources), "clips")


def _require_any(clips: list[Path]) -> None:
    """Refuse to begin where there is nothing; one clip that is missing does not stop the others."""
    if not any(clip.exists() for clip in clips):
        shown = ", ".join(repr(str(clip)) for clip in clips[:3])
        raise MediaError(f"{shown}{', ...' if len(clips) > 3 else ''}: no such file")


def _own_folder(clips: list[Path]) -> Path:
    """Where clips go that nobody named a folder for."""
    return Path("regard-out") / (_names(clips)[0] if len(clips) == 1 else "clips")


def _names(clips: list[Path]) -> list[str]:
    """What clips are called in their run."""
    return distinct([safe_name(clip.stem, otherwise="clip") for clip in clips])


def _tell(clip: Path, found: "RecordedVideo", folder: Path) -> None:
    """Lines about a clip that is done."""
    count = found.frame_count
    print(plain(f"{clip} -> {folder}  ({count} frames, {len(found.instances)} instances)"))
    for index, instance in enumerate(found.instances[:10]):
        life = instance.life
        first, last = found.frame_indices[life.start], found.frame_indices[life.stop - 1]
        what = f"{instance.category}, score {instance.score:.3f}"
        print(plain(f"  {index}: {what}, frames {first} to {last}"), flush=True)
