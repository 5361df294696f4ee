"""`regard summarize`: what a run over videos says, in numbers and plots."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from regard.cli.terminal import complain, plain, print_table

if TYPE_CHECKING:
    from regard.summaries.summarize import Summary


def summarize(
    run: Path,
    /,
    *,
    annotations: Path | None = None,
    against: Path | None = None,
    regions: Path | None = None,
    best: Annotated[int, Parameter(validator=Number(gte=0))] = 1,
    all: Annotated[bool, Parameter(show_default=False)] = False,  # noqa: A002
    instance: Annotated[list[int], Parameter(consume_multiple=True, show_default=False)] = [],  # noqa: B006
    category: Annotated[str | None, Parameter(name="--class")] = None,
    track: int | None = None,
    query: Annotated[list[int], Parameter(consume_multiple=True, show_default=False)] = [],  # noqa: B006
    share: Annotated[float, Parameter(validator=Number(gt=0, lte=1))] = 0.75,
    max_frames: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    permutations: Annotated[int, Parameter(validator=Number(gte=1))] = 10_000,
    seed: int = 42,
    no_plots: Annotated[bool, Parameter(show_default=False)] = False,
    short_side_px: Annotated[int, Parameter(validator=Number(gte=32))] = 480,
) -> int:
    """Sum up a run over videos, and write that into the run.

    inference/summary.json has everything; activation_proj_top_predictions.json,
    tracker_attention_top5.json, val_frames_with_fish.json and top_frames_75.csv beside it are as
    the DVIS attention pipeline writes them. Plots go to plots/.

    Parameters
    ----------
    run
        Folder of a run, of regard or of the DVIS attention pipeline.
    annotations
        Annotated YTVIS file of the videos.
    against
        Another run over the same videos, to compare the importance of frames with.
    regions
        File of named regions: boxes or masks, or an annotated YTVIS file of parts.
    best
        How many of the best instances of each video.
    all
        All instances.
    instance
        Instances by their place in the list, 0 is the best.
    category
        Instances of a class, by name or number.
    track
        Instances that are a track.
    query
        Object queries, besides.
    share
        Share of importance that the frames in the CSV file hold together.
    max_frames
        Most frames of a video in the CSV file.
    permutations
        How many are made to compare two runs.
    seed
        Of the permutations.
    no_plots
        Draw nothing.
    short_side_px
        What frames were resized to, for runs that do not say it.
    """
    from regard.runs import open_run
    from regard.runs.choice import Choice
    from regard.summaries.summarize import summarize as sum_up

    choice = Choice(
        best=None if all or instance or category is not None or track is not None else best,
        places=instance,
        category=category,
        track=track,
        queries=query,
    )
    found = sum_up(
        open_run(run, short_side_px=short_side_px),
        annotations=annotations,
        against=None if against is None else open_run(against, short_side_px=short_side_px),
        regions=regions,
        choice=choice,
        share=share,
        max_frames=max_frames,
        permutations=permutations,
        seed=seed,
        plots=not no_plots,
    )
    _tell(found, run)
    return 0


def _tell(found: "Summary", run: Path) -> None:
    content = found.content
    rows = [_row(name, one) for name, of in content["videos"].items() for one in of["instances"]]
    columns = ("video", "#", "class", "score", "frames to 50 %", "75 %", "90 %", "in own mask")
    print_table(content["run"], columns, rows)
    if (compared := content["comparison"]) is not None:
        print(plain(f"{content['run']} against {compared['run']}: {_compared(compared)}"))
    for what, missing in found.not_available.items():
        count = len(missing["of"])
        complain(f"no {what} of {count} of them, such as {missing['of'][0]}: {missing['reason']}")
    print(plain(f"wrote {len(found.written)} files into {run}"))


def _row(video: str, one: dict[str, Any]) -> tuple[str, ...]:
    reach = {} if one["importance"] is None else one["importance"]["frames_to_reach"]
    own = (one["regions"] or {}).get("own mask", {}).get("mean_mass")
    return (
        video,
        str(one["instance"]),
        one["category"],
        f"{one['score']:.3f}",
        *(str(reach.get(key, "-")) for key in ("50", "75", "90")),
        "-" if own is None else f"{100 * own:.1f} %",
    )


def _compared(told: dict[str, Any]) -> str:
    tests = told["tests"]
    return (
        f"mean divergence {told['mean_divergence_bits']:.4g} bits over {len(told['videos'])} "
        f"videos; "
        f"they agree on frames by chance with p = {tests['shift']['p_value']:.3g} "
        f"({tests['shift']['n_permutations']:,} shifts)"
    )
