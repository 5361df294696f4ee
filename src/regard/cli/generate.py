"""`regard generate`: the parts of an object in photos, and what each part looks at."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from regard.cli.folders import folders, require_folder
from regard.cli.terminal import complain, plain
from regard.errors import GeometryError, InputError, MediaError

_AT_LEAST_1 = Parameter(validator=Number(gte=1))


def generate(
    photos: Annotated[list[Path], Parameter(name="PHOTO", consume_multiple=True)],
    /,
    *,
    parts: Annotated[int, _AT_LEAST_1],
    model: str,
    steps: Annotated[int | None, _AT_LEAST_1] = None,
    guidance: float | None = None,
    seed: int = 0,
    mask: Path | None = None,
    tokens: Annotated[int | None, _AT_LEAST_1] = None,
    depth: Annotated[int | None, Parameter(validator=Number(gte=1, lte=10))] = None,
    keep_step: Annotated[list[int], Parameter(consume_multiple=True)] = [-1],  # noqa: B006
    keep_layers: str = "*",
    between_parts: Annotated[bool, Parameter(show_default=False)] = False,
    out: Path = Path("regard-out"),
    device: str = "cpu",
) -> int:
    """Make the parts of the object in a photo, and draw what each part looks at.

    For each photo a folder in OUT: object.glb with a colour for each part, object.html to click in,
    pictures and films of what each part looks at over steps and layers, attention.npz,
    recording.safetensors, generation.json.

    Parameters
    ----------
    photos
        Image files. An alpha channel cuts the object out.
    parts
        How many parts to make.
    model
        Folder of a PartCrafter checkpoint, or "mini-partcrafter".
    steps
        Denoising steps; by default as the checkpoint says, else 50.
    guidance
        Classifier-free guidance, 1 turns it off; likewise, 7.
    seed
        For the noise.
    mask
        Grey image of the photo's size, white on the object: it is cut out and centred.
    tokens
        Latent tokens of a part; likewise, 1024.
    depth
        The surface is searched on a grid of 2^DEPTH cells a side; likewise, 8.
    keep_step
        Steps whose queries and keys are kept, negative from the end.
    keep_layers
        Glob of the layers whose are, such as "blocks.20.attn2".
    between_parts
        Also record which part reads which.
    out
        Folder for the results.
    device
        Where the model runs.
    """
    require_folder(out)
    from regard.media.image import read_image
    from regard.media.pyav import require_av
    from regard.models.partcrafter.checkpoint import load
    from regard.parts.files import save
    from regard.parts.generation import generate as make
    from regard.parts.page import write_page

    require_av()  # for the films, which come last
    networks = load(model, device=device)
    cut = None if mask is None else read_image(mask).convert("L")
    count = f"{parts} part{'' if parts == 1 else 's'}"
    failed = 0
    for photo, folder in zip(photos, folders(photos, out), strict=True):
        try:
            with _Progress(photo, steps or networks.defaults.steps) as progress:
                made = make(
                    photo,
                    parts,
                    model=networks,
                    mask=cut,
                    steps=steps,
                    guidance=guidance,
                    seed=seed,
                    tokens=tokens,
                    depth=depth,
                    keep_steps=keep_step,
                    keep_layers=keep_layers,
                    between_parts=between_parts,
                    on_step=progress,
                )
            written = save(made, folder)
            if len(made.empty_parts) < parts and keep_step:
                write_page(folder / "object.html", networks, made)
                written.append(folder / "object.html")
        except (InputError, MediaError, GeometryError) as error:
            complain(f"{photo}: {error}" if str(photo) not in str(error) else error)
            failed += 1
            continue
        print(plain(f"{photo} -> {folder}  ({count}, {len(written)} files)"), flush=True)
        for part in made.empty_parts:
            complain(f"{photo}: part {part} has no surface, and is not in object.glb")
        failed += bool(made.empty_parts)
    if failed and len(photos) > 1:
        complain(f"{failed} of {len(photos)} photos failed")
    return 1 if failed else 0


class _Progress:
    """A bar on the terminal that counts denoising steps; nothing in a pipe."""

    def __init__(self, photo: Path, steps: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        self._progress = Progress(console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task(plain(photo.name), total=steps)

    def __enter__(self) -> "_Progress":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, done: int, steps: int) -> None:
        self._progress.update(self._task, completed=done, total=steps)
