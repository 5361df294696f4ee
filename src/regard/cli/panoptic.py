"""`regard panoptic`: what object queries find in photos, and where they look."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from regard.cli.folders import folders, require_folder
from regard.cli.image import DEFAULT_OUT, parse_head, parse_query, read_by, with_progress
from regard.cli.terminal import complain, plain
from regard.errors import GeometryError, MediaError, SelectionError


def parse_layers(text: str) -> int | str | tuple[int, ...]:
    """An index, several with commas, "lastN" or "all"."""
    if text == "all" or (text.startswith("last") and text[4:].isdecimal()):
        return text
    try:
        indices = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError('Expected an index, several such as 0,3,5, "last3" or "all".') from None
    return indices[0] if len(indices) == 1 else indices


def parse_point(text: str) -> tuple[float, float]:
    """A point X,Y."""
    point = parse_query(text)
    if not isinstance(point, tuple):
        raise ValueError("Expected a point X,Y in pixels of the photo.")
    return point


def panoptic(
    photos: Annotated[list[Path], Parameter(name="PHOTO", consume_multiple=True)],
    /,
    *,
    model: str,
    query: Annotated[str | None, read_by(parse_query)] = None,
    layers: Annotated[str | None, read_by(parse_layers)] = None,
    head: Annotated[str, read_by(parse_head)] = "mean",
    encoder: Annotated[str | None, read_by(parse_point)] = None,
    threshold: Annotated[float | None, Parameter(validator=Number(gte=0, lt=1))] = None,
    out: Path = DEFAULT_OUT,
    colormap: str = "inferno",
    between: Literal["cells", "linear"] = "linear",
    short_side_px: Annotated[int | None, Parameter(validator=Number(gte=32))] = None,
    device: str = "cpu",
) -> int:
    """Cut photos into objects, and draw where the query of each one looked.

    For each photo a folder in OUT: summary.png, segments.png, masks.png and queries.png; for the
    query shown query_layers.png, query_heads.png and what its model has besides; and panoptic.png
    with panoptic.json in COCO's format.

    Parameters
    ----------
    photos
        Image files.
    model
        mini-detr or mini-mask2former, which know generated scenes; a local folder, a hub id, or
        an official checkpoint file of DETR or Mask2Former.
    query
        What to show: the index of an object query; a class such as "person", for all queries
        that found one; or a point X,Y of the photo, for the query that owns this pixel. By
        default the query with the best score.
    layers
        Decoder layers to show: an index, several such as 0,3,5, "last3", or "all"; by default the
        last.
    head
        Index of a head, or the "mean" of all.
    encoder
        A point X,Y of the photo; also draws encoder.png: where the encoder looks from there or,
        for Mask2Former, which points of which feature map its pixel decoder reads there.
    threshold
        Class score above which a query has found something; by default the paper's: 0.85 for
        DETR, 0.8 for Mask2Former.
    out
        Folder for the pictures.
    colormap
        Any matplotlib colour map, such as inferno, turbo, cividis, jet or hot.
    between
        Draw between cells smoothly ("linear"), or each cell's exact region ("cells").
    short_side_px
        Short side of what the model sees; by default the checkpoint's, 800.
    device
        Where the model runs: cpu, cuda, mps.
    """
    which_query = None if query is None else parse_query(query)
    which_layers = None if layers is None else parse_layers(layers)
    which_head = parse_head(head)
    which_point = None if encoder is None else parse_point(encoder)
    require_folder(out)
    from regard.datasets.coco_output import CocoOutput
    from regard.models.registry import load
    from regard.objects.attention import panoptic as look_at
    from regard.render import Look

    look = Look(cmap=colormap)
    loaded = load(model, device=device, notify=complain)
    output, failed = CocoOutput(out), 0
    for photo, folder in with_progress(list(zip(photos, folders(photos, out), strict=True))):
        try:
            result = look_at(
                photo,
                model=loaded,
                query=which_query,
                layers=which_layers,
                head=which_head if isinstance(which_head, int) else None,
                threshold=threshold,
                between=between,
                look=look,
                short_side_px=short_side_px,
            )
            seen = None if which_point is None else result.pictures.encoder(*which_point)
            result.pictures.save(folder)
            if seen is not None:
                seen.save(folder / "encoder.png")
            output.add(
                folder.name,
                segmentation=result.segmentation,
                instances=result.instances(),
                categories=result.predictions.categories,
            )
        except MediaError as error:  # its message names the file
            complain(error)
            failed += 1
        except (GeometryError, SelectionError) as error:
            complain(f"{photo}: {error}")
            failed += 1
        else:
            found = f"{len(result.found)} objects; {result.words}"
            print(plain(f"{photo} -> {folder / 'summary.png'}  ({found})"), flush=True)
    output.close()
    if failed and len(photos) > 1:
        complain(f"{failed} of {len(photos)} photos failed")
    return 1 if failed else 0
