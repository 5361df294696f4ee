"""`regard image`: where a model looks in photos."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from regard.errors import GeometryError, MediaError

if TYPE_CHECKING:
    from regard.photo import PhotoAttention

DEFAULT_OUT = Path("regard-out")


def image(
    photos: Annotated[list[Path], Parameter(name="PHOTO", consume_multiple=True)],
    /,
    *,
    model: str = "dinov2-small",
    layer: str | None = None,
    head: str = "mean",
    query: str | None = None,
    out: Path = DEFAULT_OUT,
    colormap: str = "inferno",
    between: Literal["cells", "linear"] = "linear",
    save_raw: bool = False,
    short_side_px: int | None = None,
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
    which_layer, which_query = parse_layer(layer), parse_query(query)
    every_head, one_head = parse_head(head)
    from regard.models.registry import load
    from regard.photo import image as look_at
    from regard.render import Look

    look = Look(cmap=colormap)
    loaded = load(model, device=device, notify=lambda line: print(line, file=sys.stderr))
    failed = []
    for photo, folder in _with_progress(photos, folders(photos, out)):
        try:
            result = look_at(
                photo,
                model=loaded,
                layer=which_layer,
                head=one_head,
                query=which_query,
                between=between,
                look=look,
                short_side_px=short_side_px,
            )
            result.save(folder, raw=save_raw, heads=every_head)
        except MediaError as error:  # its message names the file
            failed.append(str(error))
        except GeometryError as error:
            failed.append(f"{photo}: {error}")
        else:
            print(told(photo, result, folder))
    return report(len(photos), failed)


def parse_layer(text: str | None) -> int | str | None:
    """An index, or a glob."""
    return int(text) if text and text.lstrip("-").isdecimal() else text


def parse_head(text: str) -> tuple[bool, int | None]:
    """Whether every head is drawn, and the one head that is shown (None for the mean)."""
    if text in ("mean", "all"):
        return text == "all", None
    if text.lstrip("-").isdecimal():
        return False, int(text)
    raise SystemExit(f'regard: --head is {text!r}, expected an index, "mean" or "all"')


def parse_query(text: str | None) -> int | str | tuple[float, float] | None:
    """An index, a point or a name."""
    if text is None:
        return None
    if text.lstrip("-").isdecimal():
        return int(text)
    x, comma, y = text.partition(",")
    if not comma:
        return text
    try:
        return float(x), float(y)
    except ValueError:
        raise SystemExit(
            f'regard: --query is {text!r}, expected a name such as "cls", an index, or X,Y'
        ) from None


def folders(photos: Sequence[Path], out: Path) -> list[Path]:
    """A folder of its own for each photo; photos of the same name are told apart by a number."""
    taken: dict[Path, int] = {}
    result = []
    for photo in photos:
        folder = out / (photo.stem or "photo")
        taken[folder] = taken.get(folder, 0) + 1
        number = taken[folder]
        result.append(folder if number == 1 else folder.with_name(f"{folder.name}-{number}"))
    return result


def told(photo: Path, result: "PhotoAttention", folder: Path) -> str:
    """The line about a photo that is done."""
    return f"{photo} -> {folder / 'summary.png'}  ({result.words})"


def report(count: int, failed: Sequence[str]) -> int:
    """Exit code; what failed is listed and counted on stderr."""
    for line in failed:
        print(f"regard: {line}", file=sys.stderr)
    if failed:
        print(f"regard: {len(failed)} of {count} photos failed", file=sys.stderr)
    return 1 if failed else 0


def _with_progress(*columns: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Rows of the columns, with a progress bar on the terminal if there are several."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    rows = list(zip(*columns, strict=True))
    quiet = len(rows) < 2 or not console.is_terminal
    yield from track(rows, "photos", console=console, transient=True, disable=quiet)
