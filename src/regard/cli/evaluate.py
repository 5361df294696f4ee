"""`regard evaluate`: how good predictions are against ground truth."""

import json
import math
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from regard.cli.terminal import complain, print_table
from regard.errors import FormatError, InputError


def evaluate(
    predictions: Path,
    truth: Path | None = None,
    /,
    *,
    annotations: Path | None = None,
    per_class: bool = False,
    threshold: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = 0.3,
    swaps: Annotated[bool, Parameter(show_default=False)] = False,
    against: Path | None = None,
    against_annotations: Path | None = None,
    scrambled: Annotated[list[Path], Parameter(consume_multiple=True, show_default=False)] = [],  # noqa: B006
    plot: Path | None = None,
    out: Path | None = None,
) -> None:
    """Measure predictions for photos or videos against ground truth.

    Panoptic predictions (a JSON beside its PNGs) are measured by PQ, SQ and RQ; a list of results
    with boxes or masks by COCO's average precision; a run over videos, or its results.json, by
    average precision of tracks as YouTube-VIS measures it, frame by frame, and by identities.

    Parameters
    ----------
    predictions
        A panoptic JSON, a JSON list of results, or the folder of a run over videos.
    truth
        COCO's panoptic or instances JSON for the same pictures, or the annotated YTVIS JSON.
    annotations
        The same, by name.
    per_class
        Also list every class (panoptic and videos).
    threshold
        Least score of tracks that count for identities (videos).
    swaps
        Also replace masks, classes and scores by those of the ground truth, one at a time, to tell
        what each costs (videos).
    against
        Another run or its results, which masks, classes and scores are also taken from (videos).
    against_annotations
        Annotations of the other run, where it saw the frames in another order.
    scrambled
        Files that --out wrote for the same model over scrambled videos, one a seed: mean, standard
        deviation and standard error of each number beside the original (videos).
    plot
        PNG of these, and of the scores of the best results.
    out
        JSON file for all numbers (videos).
    """
    given = [path for path in (truth, annotations) if path is not None]
    if len(given) != 1:
        raise InputError(f"{len(given)} files of ground truth; give one, by --annotations FILE")
    (truth,) = given
    if predictions.is_dir() or (_is_list(predictions) and _is_of_videos(truth)):
        content = _print_videos(predictions, truth, per_class, threshold)
        if swaps or against is not None:
            content["swaps"] = _print_swaps(predictions, truth, against, against_annotations)
        if scrambled:
            content["scrambled"] = _print_scrambled(content, scrambled, plot)
        if out is not None:
            _write(out, content)
    elif out is not None or against is not None or scrambled or swaps:
        raise InputError("--out, --against, --swaps and --scrambled are for results of videos")
    elif _is_list(predictions):
        _print_average_precision(predictions, truth)
    else:
        _print_panoptic(predictions, truth, per_class)


def _is_of_videos(truth: Path) -> bool:
    try:
        return b'"videos"' in truth.read_bytes()
    except OSError as error:
        raise FormatError(f"{truth} cannot be read: {error}; expected a JSON file") from error


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
    print_table(f"{quality.images} images", ("", "PQ", "SQ", "RQ", "classes"), rows)
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
        print_table("", ("class", "PQ", "SQ", "RQ", "matched", "wrong", "missed"), listed)


def _print_average_precision(predictions: Path, truth: Path) -> None:
    from regard.evaluation.average_precision import NAMES, average_precision

    rows: Any = json.loads(predictions.read_text(encoding="utf-8"))
    found = {"box": average_precision(predictions, truth, "bbox").values}
    if isinstance(rows, list) and rows and all("segmentation" in row for row in rows):
        found["mask"] = average_precision(predictions, truth, "segm").values
    table = [(name, *(_percent(values[name]) for values in found.values())) for name in NAMES]
    print_table("", ("", *found), table)


def _print_videos(
    predictions: Path, truth: Path, per_class: bool, threshold: float
) -> dict[str, Any]:
    from regard.evaluation.average_precision import NAMES
    from regard.evaluation.videos import evaluate_videos

    found = evaluate_videos(_results_of(predictions), truth, threshold=threshold)
    kinds = (found.video, found.frame_mean, found.frame)
    title = f"{found.videos} videos, {found.results} results"
    if found.other_classes:
        title += f", {found.other_classes} of classes that are not annotated"
    rows = [(name, *(_percent(kind.values[name]) for kind in kinds)) for name in NAMES]
    print_table(title, ("", "video", "mean of frames", "frame by frame"), rows)
    if per_class:
        columns = ("class", *NAMES)
        by_class = [
            (name, *(_percent(found.video.by_category[number][key]) for key in NAMES))
            for number, name in found.categories.items()
        ]
        print()
        print_table("over whole videos", columns, by_class)
    who, steady = found.identity, found.consistency
    print()
    print_table(
        f"identities, of tracks with a score of {threshold:g} or more",
        ("MOTA", "MOTP", "IDF1", "switches", "fragments", "objects", "predictions", "matched"),
        [
            (
                *map(_percent, (who.mota, who.motp, who.idf1)),
                *map(str, (who.switches, who.fragments, who.objects, who.predictions)),
                str(who.matched),
            )
        ],
    )
    print()
    print_table(
        "tracks and the objects that are theirs",
        ("pairs", "overlap", "stability", "completeness", "breaks a track"),
        [
            (
                str(len(steady.pairs)),
                *(_percent(steady.mean(name)) for name in ("overlap", "stability", "completeness")),
                f"{steady.mean('breaks'):.2f}" if steady.pairs else "none",
            )
        ],
    )
    return found.to_json()


def _print_swaps(
    predictions: Path, truth: Path, against: Path | None, against_annotations: Path | None
) -> dict[str, float | None]:
    """Average precision with parts of the predictions replaced."""
    from regard.datasets.ytvis_tracks import read_results, read_truth
    from regard.evaluation.component_swaps import SWAPS, UNCHANGED, swap_test

    true = read_truth(truth)
    other_truth = true if against_annotations is None else read_truth(against_annotations)
    other = None if against is None else read_results(_results_of(against), other_truth)
    found = swap_test(read_results(_results_of(predictions), true), true, other, other_truth)
    gains = found.gains()
    rows = [
        (SWAPS[name], _percent(ap), "" if name == UNCHANGED else f"{100 * gains[name]:+.1f}")
        for name in SWAPS
        if (ap := found.precision.get(name)) is not None
    ]
    print()
    print_table("AP over videos if a part is replaced", ("", "AP", "gain"), rows)
    return {name: None if math.isnan(ap) else ap for name, ap in found.precision.items()}


def _print_scrambled(
    content: dict[str, Any], scrambled: list[Path], plot: Path | None
) -> dict[str, Any]:
    """The same numbers over scrambled videos, seed by seed."""
    from regard.evaluation.scrambled import compare_scrambled

    found = compare_scrambled(content, scrambled)
    rows = [
        (name, *(_percent(n) for n in (of.original, of.mean, of.deviation, of.error)))
        for name, of in found.average_precision.items()
    ]
    if found.scores is not None:
        of = found.scores
        numbers = (of.original, of.mean, of.deviation, of.error)
        rows.append(("best score", *map(_percent, numbers)))
    print()
    columns = ("", "in order", "scrambled", "standard deviation", "standard error")
    print_table(f"scrambled with {len(scrambled)} seeds", columns, rows)
    if plot is not None:
        from regard.atomic import write_atomically
        from regard.summaries.plots import plot_scrambled

        write_atomically(plot, plot_scrambled(found))
    return found.to_json()


def _write(out: Path, content: dict[str, Any]) -> None:
    from regard.datasets.json_files import write_json

    write_json(out, content)


def _results_of(predictions: Path) -> Path:
    """The result file of a run, after a word about videos that it lacks."""
    if not predictions.is_dir():
        return predictions
    from regard.runs import open_run

    run = open_run(predictions)
    if run.failed:
        complain(
            f"{len(run.failed)} videos of {predictions} failed and count as without predictions: "
            + ", ".join(list(run.failed)[:8])
        )
    rows = predictions / "inference" / "results_temporal.json"  # says which rows are one object
    return rows if rows.is_file() else rows.with_name("results.json")


def _percent(share: float) -> str:
    return "none" if math.isnan(share) else f"{100 * share:.1f}"
