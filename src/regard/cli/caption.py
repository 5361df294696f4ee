"""`regard caption`: captions of photos, and what each word of them looks at."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from regard.cli.folders import folders, require_folder
from regard.cli.image import parse_head, with_progress
from regard.cli.terminal import complain, plain
from regard.errors import FormatError, GeometryError, MediaError, ModelNotFound, SelectionError

if TYPE_CHECKING:
    from regard.captions.attention import CaptionAttention
    from regard.captions.files import Kind
    from regard.models.aoanet import StoredFeatures
    from regard.models.aoanet.cnn import GridCnn

_AT_LEAST_1 = Parameter(validator=Number(gte=1))
_GRID = re.compile(r"(\d+)x(\d+)")
_LAYER = re.compile(r"decoder|refiner\.(\d+)")


def parse_grid(text: str) -> tuple[int, int]:
    """Rows and columns out of "14x14"."""
    found = _GRID.fullmatch(text)
    if not found or not int(found[1]) * int(found[2]):
        raise ValueError(f'Invalid value "{text}" for --grid. Expected ROWSxCOLUMNS, as in 14x14.')
    return int(found[1]), int(found[2])


def parse_caption_layer(text: str) -> int | None:
    """Number of a refiner layer; None for the decoder."""
    found = _LAYER.fullmatch(text)
    if not found:
        raise ValueError(f'Invalid value "{text}" for --layer. Expected decoder or refiner.N.')
    return None if found[1] is None else int(found[1])


def _checked_grid(_: type, text: str | None) -> None:
    if text is not None:
        parse_grid(text)


def _checked_layer(_: type, text: str) -> None:
    parse_caption_layer(text)


def _checked_head(_: type, text: str) -> None:
    parse_head(text)


def caption(
    photos: Annotated[list[Path], Parameter(name="PHOTO", consume_multiple=True)],
    /,
    *,
    model: Path,
    infos: Path | None = None,
    features: Path | None = None,
    boxes: Path | None = None,
    image_features: Path | None = None,
    cnn: Path | None = None,
    grid: Annotated[str | None, Parameter(validator=_checked_grid)] = None,
    beam: Annotated[int, _AT_LEAST_1] = 2,
    best: Annotated[int, _AT_LEAST_1] = 1,
    length_penalty: str = "",
    remove_bad_endings: Annotated[bool, Parameter(show_default=False)] = False,
    head: Annotated[str, Parameter(validator=_checked_head)] = "mean",
    layer: Annotated[str, Parameter(validator=_checked_layer)] = "decoder",
    from_input: Annotated[bool, Parameter(show_default=False)] = False,
    out: Path = Path("regard-out"),
    colormap: str = "inferno",
    video: Literal["gif", "mp4"] | None = None,
    figure: Annotated[bool, Parameter(show_default=False)] = False,
    save_raw: Annotated[bool, Parameter(show_default=False)] = False,
    device: str = "cpu",
) -> int:
    """Caption photos with an AoANet, and draw what each word looks at.

    For each photo a folder in OUT: words.png and one picture a word, boxes_*.png with the heaviest
    regions outlined, caption.html to point at words and regions in, and caption.json.

    Parameters
    ----------
    photos
        Image files.
    model
        Checkpoint of a training run: model.pth, or its tensors as safetensors. Or "mini-aoanet", a
        small one for generated scenes that is shipped with regard and needs nothing else.
    infos
        The infos_ID.pkl from beside a checkpoint.
    features
        Features extracted before: a folder of ID.npz or ID.npy, an .lmdb, or the original .tsv. ID
        is the photo's name, or the number at its end.
    boxes
        Boxes of the regions: a folder of ID.npy, or an .lmdb; a .tsv holds them itself.
    image_features
        Features of whole photos, likewise; only for models trained with mean_feats 0.
    cnn
        Instead of features: weights of the CNN that makes them, a ResNet in a local file.
    grid
        Rows and columns of the features' grid, as in 14x14; for --cnn 14x14 by default.
    beam
        Beams; 1 takes the likeliest word each time.
    best
        How many captions to show, each with its own attention.
    length_penalty
        "wu_ALPHA" or "avg_0".
    remove_bad_endings
        Forbid a caption to end with an article or a preposition.
    head
        Index of a head; "mean" of all; or "all": the mean, and a grid of every head for each word.
    layer
        "decoder": where the model looks for each word. "refiner.N": also where the regions that
        the words use most look, in layer N of the refiner.
    from_input
        Follow the weights back through the refiner, to the regions that went into it.
    out
        Folder for the results.
    colormap
        Any matplotlib colour map.
    video
        Also a film through the words.
    figure
        Also caption.pdf and caption.tex for a paper.
    save_raw
        Also caption.npz: every weight, (words, heads, regions), with boxes and entropies.
    device
        Where the model runs.
    """
    require_folder(out)
    _require_source(features, cnn, own=infos is None)
    from regard.captions.attention import caption as look_at
    from regard.models.aoanet import Decoding, load_captioner
    from regard.render import Look

    decoding = Decoding(
        beam=beam, length_penalty=length_penalty, remove_bad_endings=remove_bad_endings
    )
    source = _source(features, boxes, image_features, cnn, grid, device)
    captioner = load_captioner(model, infos, device=device)
    which_head, refiner_layer = parse_head(head), parse_caption_layer(layer)
    kinds = _kinds(which_head == "all", video, figure, save_raw)
    failed = 0
    for photo, folder in with_progress(list(zip(photos, folders(photos, out), strict=True))):
        try:
            found = look_at(
                photo,
                model=captioner,
                features=source,
                decoding=decoding,
                best=best,
                head=which_head if isinstance(which_head, int) else None,
                look=Look(cmap=colormap),
            )
            for number, one in enumerate(found, 1):
                place = folder / f"best_{number}" if best > 1 else folder
                _save(one.of(from_input=from_input), place, kinds, refiner_layer)
                print(plain(f"{photo} -> {place}  ({one.score:.2f}: {one.text})"), flush=True)
        except (GeometryError, MediaError, SelectionError, ModelNotFound, FormatError) as error:
            complain(error if photo.name in str(error) else f"{photo}: {error}")
            failed += 1
    if failed and len(photos) > 1:
        complain(f"{failed} of {len(photos)} photos failed")
    return 1 if failed else 0


def _require_source(features: Path | None, cnn: Path | None, *, own: bool) -> None:
    """Refuse two sources of features; or none, unless the model may have its own."""
    if (features is None) == (cnn is None) and not (own and cnn is None):
        raise SelectionError(
            "an AoANet takes features, not pixels: give --features (and --boxes) with what was "
            "extracted before, or --cnn with the network to extract them"
        )


def _source(
    features: Path | None,
    boxes: Path | None,
    image_features: Path | None,
    cnn: Path | None,
    grid: str | None,
    device: str,
) -> "StoredFeatures | GridCnn | None":
    """Where features come from; None for the model's own CNN."""
    from regard.models.aoanet import StoredFeatures, load_cnn

    grid_hw = None if grid is None else parse_grid(grid)
    if boxes is not None and grid is not None:
        raise SelectionError("--boxes and --grid both say where the features lie; give one")
    if features is not None:
        if boxes is not None and features.suffix == ".tsv":
            raise SelectionError(f"{features} holds its own boxes; leave --boxes out")
        return StoredFeatures(features, boxes, image_features, grid_hw)
    if boxes is not None:
        raise SelectionError("--boxes belongs to --features; the cells of a CNN need none")
    if cnn is None:
        if grid is not None:
            raise SelectionError("--grid belongs to --features or --cnn; the model has its own")
        return None
    network = load_cnn(cnn, device=device)
    network.grid_hw = grid_hw or network.grid_hw
    return network


def _kinds(heads: bool, video: str | None, figure: bool, raw: bool) -> "list[Kind]":
    kinds: list[Kind] = ["words", "boxes", "page", "json"]
    kinds += ["heads"] if heads else []
    kinds += ["gif"] if video == "gif" else ["mp4"] if video == "mp4" else []
    kinds += ["figure"] if figure else []
    return kinds + (["npz"] if raw else [])


def _save(
    one: "CaptionAttention", folder: Path, kinds: "list[Kind]", refiner_layer: int | None
) -> None:
    refined = None if refiner_layer is None else one.refined_regions(refiner_layer)
    one.save(folder, kinds)
    if refined is not None:
        refined.save(folder / f"refiner_{refiner_layer}.png")
