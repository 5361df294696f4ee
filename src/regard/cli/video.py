"""`regard video`: what a model finds in videos, and where it looks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from regard.cli.folders import folders, require_folder
from regard.cli.terminal import complain, plain
from regard.errors import MediaError

if TYPE_CHECKING:
    from regard.clips.clip import ClipAttention


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
    out: Path = Path("regard-out"),
    device: str = "cpu",
) -> int:
    """Find the instances in videos, and draw where the model looked for each.

    For each clip a folder in OUT: results.json with masks and scores, instance_I.mp4 with the
    attention over the frames, instance_I_frames.csv with what each frame counts (offline models),
    attention.safetensors, run.json.

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
        Folder for the results.
    device
        Where the model runs: cpu, cuda, mps.
    """
    from regard.media.frames import FrameRange

    wanted = FrameRange.parse(frames)
    require_folder(out)
    from regard.clips.clip import video as look_at
    from regard.clips.files import save
    from regard.media.ytvis import read_class_names
    from regard.models.dvis_daq.pretrained import pretrained
    from regard.models.dvis_daq.settings import Settings

    loaded = pretrained(model, online=online)
    settings = loaded.settings if config is None else Settings.from_yaml(config)
    if short_side_px is not None:
        settings = settings.updated(short_side_px=short_side_px)
    names = loaded.class_names if classes is None else read_class_names(classes)
    options: dict[str, Any] = {"mixing": mixing} if mixing != "weighted" else {}
    options |= {"temporal": True} if temporal else {}
    options |= {"masked": False} if unmasked else {}
    failed = 0
    for clip, folder in zip(clips, folders(clips, out), strict=True):
        try:
            with (
                _Progress(clip) as progress,
                look_at(
                    clip,
                    model=loaded.network,
                    settings=settings,
                    frames=wanted,
                    keep=keep,
                    layers=layers,
                    class_names=names,
                    device=device,
                    notify=complain,
                    on_frame=progress.frame,
                ) as found,
            ):
                for path in save(found, folder, instances=instances, cmap=colormap, **options):
                    progress.say(f"wrote {path}")
                told(clip, found, folder)
        except MediaError as error:
            complain(error)
            failed += 1
    if failed and len(clips) > 1:
        complain(f"{failed} of {len(clips)} clips failed")
    return 1 if failed else 0


def told(clip: Path, found: "ClipAttention", folder: Path) -> None:
    """Lines about a clip that is done."""
    count = len(found.frame_indices)
    print(plain(f"{clip} -> {folder}  ({count} frames, {len(found.instances)} instances)"))
    for index, detection in enumerate(found.instances[:10]):
        life = found.frames_of(index)
        first, last = found.frame_indices[life.start], found.frame_indices[life.stop - 1]
        name = found.class_name(detection.label)
        line = f"  {index}: {name}, score {detection.score:.3f}, frames {first} to {last}"
        print(plain(line), flush=True)


class _Progress:
    """A line on the terminal that counts frames; nothing in a pipe."""

    def __init__(self, clip: Path) -> None:
        from rich.console import Console
        from rich.progress import Progress, TextColumn

        console = Console(stderr=True, markup=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._name = plain(clip.name)
        self._task = self._progress.add_task(self._name)

    def __enter__(self) -> "_Progress":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def frame(self, count: int) -> None:
        """So many frames have been read."""
        self.say(f"frame {count}")

    def say(self, words: str) -> None:
        """Show what is going on."""
        self._progress.update(self._task, description=f"{self._name}: {plain(words)}")
