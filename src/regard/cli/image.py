"""`regard image`: where a model looks in photos."""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from regard.cli.folders import folders, require_folder
from regard.cli.terminal import complain, plain
from regard.errors import GeometryError, MediaError, SelectionError

if TYPE_CHECKING:
    from regard.photo import PhotoAttention

DEFAULT_OUT = Path("regard-out")

_INTEGER = re.compile(r"-?[0-9]+")


def parse_layer(text: str) -> int | str:
    """An index, or a glob."""
    return int(text) if _INTEGER.fullmatch(text) else text


def parse_head(text: str) -> int | str:
    """An index, "mean" or "all"."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if text not in ("mean", "all"):
        raise ValueError('Expected an index, "mean" or "all".')
    return text


def parse_query(text: str) -> int | str | tuple[float, float]:
    """An index, a point or a name."""
    x, comma, y = text.partition(",")
    if not comma:
        return int(text) if _INTEGER.fullmatch(text) else text
    try:
        return float(x), float(y)
    except ValueError:
        raise ValueError('Expected a name such as "cls", an index, or a point X,Y.') from None


def read_by(parse: Callable[[str], Any]) -> Parameter:
    """A parameter that is refused, before any work is done, where ``parse`` refuses it."""

    def refuse(_: type, text: str | None) -> None:
        if text is not None:
            parse(text)

    return Parameter(validator=refuse)


def image(
    photos: Annotated[list[Path], Parameter(name="PHOTO", consume_multiple=True)],
    /,
    *,
    model: str = "dinov2-small",
    layer: Annotated[str | None, read_by(parse_layer)] = None,
    head: Annotated[str, read_by(parse_head)] = "mean",
    query: Annotated[str | None, read_by(parse_query)] = None,
    out: Path = DEFAULT_OUT,
    colormap: str = "inferno",
    between: Literal["cells", "linear"] = "linear",
    save_raw: Annotated[bool, Parameter(show_default=False)] = False,
    short_side_px: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    device: str = "cpu",
) -> int:
    """Draw where a model looks in photos.

    For each photo a folder in OUT: for each layer an overlay attn_map_layer_I_NAME.png and a heat
    map heatmap_layer_I_NAME.png, and one summary.png.

    Parameters
    ----------
    photos
        Image files.
    model
        A name from `regard models`, a local folder, or a hub id.
    layer
        Index of a layer (negative from the end), or a glob over module paths such as
        "encoder.layer.1?.*"; by default the model's best layer for this.
    head
        Index of a head; "mean" of all; or "all": the mean, and a grid of every head.
    query
        The token whose attention is shown: "cls", its index, or the point X,Y of the photo that
        it stands for; "mean" of all. By default cls where there is one, else mean.
    out
        Folder for the pictures.
    colormap
        Any matplotlib colour map, such as inferno, turbo, cividis, jet or hot.
    between
        Draw between tokens smoothly ("linear"), or each token's exact region ("cells").
    save_raw
        Also save every weight of the layer: attn_raw_layer_I.npy, float32 (heads, queries, keys).
    short_side_px
        Short side of what the model sees, where it takes any size; 336 by default.
    device
        Where the model runs: cpu, cuda, mps.
    """
    which_layer = None if layer is None else parse_layer(layer)
    which_query = None if query is None else parse_query(query)
    which_head = parse_head(head)
    require_folder(out)
    from regard.models.registry import load
    from regard.photo import image as look_at
    from regard.render import Look

    look = Look(cmap=colormap)
    loaded = load(model, device=device, notify=complain)
    failed = 0
    for photo, folder in with_progress(list(zip(photos, folders(photos, out), strict=True))):
        try:
            result = look_at(
                photo,
                model=loaded,
                layer=which_layer,
                head=which_head if isinstance(which_head, int) else None,
                query=which_query,
                between=between,
                look=look,
                short_side_px=short_side_px,
            )
            result.save(folder, raw=save_raw, heads=head == "all")
        except MediaError as error:  # its message names the file
            complain(error)
            failed += 1
        except (GeometryError, SelectionError) as error:
            complain(f"{photo}: {error}")
            failed += 1
        else:
            print(plain(told(photo, result, folder)), flush=True)
    if failed and len(photos) > 1:
        complain(f"{failed} of {len(photos)} photos failed")
    return 1 if failed else 0


def told(photo: Path, result: "PhotoAttention", folder: Path) -> str:
    """The line about a photo that is done."""
    return f"{photo} -> {folder / 'summary.png'}  ({result.words})"


def with_progress(rows: Sequence[Any]) -> Iterator[Any]:
    """The rows, with a progress bar on the terminal if there are several."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if len(rows) < 2 or not console.is_terminal:
        yield from rows
        return
    # lines on stdout go above the bar where both are the terminal, else where they belong
    both = sys.stdout.isatty()
    with Progress(console=console, transient=True, redirect_stdout=both) as progress:
        yield from progress.track(rows, description="photos")
