"""`regard evaluate`: how good predictions are against ground truth."""

import json
import math
from pathlib import Path
from typing import Any

from regard.cli.terminal import table_console
from regard.errors import FormatError


def evaluate(predictions: Path, truth: Path, /, *, per_class: bool = False) -> None:
    """Measure predictions in COCO's formats against ground truth.

    Panoptic predictions (a JSON beside its PNGs) are measured by PQ, SQ and RQ; a list of results
    with boxes or masks by COCO's average precision.

    Parameters
    ----------
    predictions
        A panoptic JSON, or a JSON list of results.
    truth
        COCO's panoptic or instances JSON for the same pictures.
    per_class
        Also list every class (panoptic only).
    """
    if _is_list(predictions):
        _print_average_precision(predictions, truth)
    else:
        _print_panoptic(predictions, truth, per_class)


def _is_list(path: Path) -> bool:
    """Whether a JSON file holds a list, by its first sign."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(4096).lstrip().startswith("[")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} cannot be read: {error}; expected a JSON file") from error


def _print_panoptic(predictions: Path, truth: Path, per_class: bool) -> None:
    from regard.datasets.coco_panoptic import read_panoptic
    from regard.evaluation.panoptic_quality import panoptic_quality

    true = read_panoptic(truth)
    quality = panoptic_quality(read_panoptic(predictions), true)
    kinds = {"all": list(true.categories), "things": [], "stuff": []}
    for number, (_, is_thing) in true.categories.items():
        kinds["things" if is_thing else "stuff"].append(number)
    seen = {row.category_id for row in quality.classes}
    rows: list[tuple[str, ...]] = []
    for kind, numbers in kinds.items():
        count = len(seen if kind == "all" else seen & set(numbers))
        means = quality.mean(None if kind == "all" else numbers)
        rows.append((kind, *map(_percent, means), str(count)))
    _print_table(f"{quality.images} images", ("", "PQ", "SQ", "RQ", "classes"), rows)
    if per_class:
        names = {number: name for number, (name, _) in true.categories.items()}
        listed = [
            (
                names.get(row.category_id, str(row.category_id)),
                *map(_percent, (row.pq, row.sq, row.rq)),
                *map(str, (row.matched, row.wrong, row.missed)),
            )
            for row in quality.classes
        ]
        _print_table("", ("class", "PQ", "SQ", "RQ", "matched", "wrong", "missed"), listed)


def _print_average_precision(predictions: Path, truth: Path) -> None:
    from regard.evaluation.average_precision import NAMES, average_precision

    rows: Any = json.loads(predictions.read_text(encoding="utf-8"))
    found = {"box": average_precision(predictions, truth, "bbox").values}
    if isinstance(rows, list) and rows and all("segmentation" in row for row in rows):
        found["mask"] = average_precision(predictions, truth, "segm").values
    table = [(name, *(_percent(values[name]) for values in found.values())) for name in NAMES]
    _print_table("", ("", *found), table)


def _percent(share: float) -> str:
    return "none" if math.isnan(share) else f"{100 * share:.1f}"


def _print_table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from regard.cli.terminal import plain

    table = Table(
        title=title or None, title_justify="left", box=box.SIMPLE, show_edge=False, pad_edge=False
    )
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    table_console().print(table)
