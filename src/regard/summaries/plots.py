"""Plots of a summary: frames and their importance, two runs, the layers of the tracker.

Colours are told apart by people who see fewer of them (Okabe and Ito 2008), and what a colour says
is said by place or pattern as well. Only matplotlib's object interface is used.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from regard import render
from regard.analysis.divergence import PermutationTest
from regard.analysis.frame_importance import by_importance, frames_to_reach, shares
from regard.evaluation.scrambled import Scrambled
from regard.render import style
from regard.render.picture import clean
from regard.summaries.tracker import Weights

BLUE, ORANGE, GREEN, SKY, BLACK = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#1c1c20"
ANNOTATED = "#cfd3da"
"""Behind frames in which the object is annotated."""

_FONT = Path(render.__file__).parent / "fonts" / "Inter-Regular.ttf"
_SETTINGS = {
    "font.family": ["Inter", "DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#686a72",
    "axes.labelcolor": BLACK,
    "xtick.color": "#686a72",
    "ytick.color": "#686a72",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e7eb",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "text.parse_math": False,
}
_MOST_QUERIES = 24


def plot_importance(
    weights: Sequence[float],
    *,
    title: str,
    annotated: Sequence[int] | None = None,
    alive: Sequence[int] | None = None,
) -> bytes:
    """PNG: importance of each frame in the order of the video.

    Args:
        weights: (frames,)
        title: What it is about.
        annotated: Frames in which the object is annotated; they are shaded.
        alive: Whether the instance lives in each frame; elsewhere the line is dotted.
    """
    values = 100 * shares(weights)
    with _figure(7.2, 3.0) as (figure, save):
        axes = figure.subplots()
        _shade(axes, annotated, len(values))
        lives = np.ones(len(values), bool) if alive is None else np.array(alive, bool)
        _even_line(axes, len(values))
        axes.plot(*_only(values, lives), color=BLUE, lw=1.8, label="instance lives", zorder=3)
        if not lives.all():
            lost = np.convolve(~lives, [1, 1, 1], "same") > 0
            dotted = {"ls": (0, (1, 1.2)), "label": "outside its life"}
            axes.plot(*_only(values, lost), color=ORANGE, lw=1.6, zorder=2, **dotted)
        _frames(axes, len(values))
        axes.set(ylabel="importance (% of all frames)", ylim=(0, None))
        _titled(figure, axes, title)
        return save()


def plot_sorted(
    weights: Sequence[float],
    *,
    title: str,
    annotated: Sequence[int] | None = None,
    marks: Sequence[float] = (0.5, 0.75, 0.9),
) -> bytes:
    """PNG: frames by importance, and what share of the whole the first ones hold.

    Args:
        weights: (frames,)
        title: What it is about.
        annotated: Frames in which the object is annotated; their bars are dark.
        marks: Shares whose number of frames is marked.
    """
    values = 100 * shares(weights)
    order = by_importance(weights)
    with _figure(7.2, 4.6) as (figure, save):
        bars, sums = figure.subplots(2, sharex=True)
        ranks = np.arange(1, len(values) + 1)
        is_there = np.isin(order, [] if annotated is None else annotated)
        groups = (
            ((np.ones_like(is_there), BLUE, None),)
            if annotated is None
            else ((is_there, BLUE, "object annotated"), (~is_there, SKY, "not annotated"))
        )
        for chosen, colour, label in groups:
            bars.bar(ranks[chosen], values[order][chosen], color=colour, width=0.9, label=label)
        bars.set(ylabel="importance (%)")
        summed = np.cumsum(values[order])
        sums.step(ranks, summed, color=BLACK, lw=1.5, where="mid")
        for mark in marks:
            count = frames_to_reach(weights, mark)
            sums.plot([0.5, count, count], [100 * mark, 100 * mark, 0], color=ORANGE, lw=0.9)
            sums.annotate(
                f"{count} frames hold {100 * mark:g} %",
                (count, 100 * mark),
                xytext=(4, -9),
                textcoords="offset points",
                fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
        sums.set(xlabel="frames, most important first", ylabel="sum so far (%)", ylim=(0, 104))
        sums.set_xlim(0.5, len(values) + 0.5)
        _titled(figure, bars, title)
        return save()


def plot_comparison(
    own: Sequence[float],
    other: Sequence[float],
    *,
    names: tuple[str, str],
    title: str,
    annotated: Sequence[int] | None = None,
) -> bytes:
    """PNG: importance of the frames of one video in two runs.

    Args:
        own: (frames,), of the first run.
        other: (frames,), of the second.
        names: Of the runs.
        title: What it is about.
        annotated: Frames in which the object is annotated; they are shaded.
    """
    with _figure(7.2, 3.0) as (figure, save):
        axes = figure.subplots()
        _shade(axes, annotated, len(own))
        _even_line(axes, len(own))
        axes.plot(100 * shares(own), color=BLUE, lw=1.8, label=clean(names[0]), zorder=3)
        axes.plot(
            100 * shares(other), color=ORANGE, lw=1.8, ls="--", label=clean(names[1]), zorder=3
        )
        _frames(axes, len(own))
        axes.set(ylabel="importance (% of all frames)", ylim=(0, None))
        _titled(figure, axes, title)
        return save()


def plot_tracker(cross: Weights, *, title: str, frames: int) -> bytes:
    """PNG: weight of object queries in each frame, a panel for each layer of the tracker.

    Args:
        cross: By layer and frame, (queries,). Queries that are nowhere among the strongest are
            left out.
        title: What it is about.
        frames: Of the video.
    """
    shown = _strongest(cross)
    columns = min(3, len(cross))
    rows = -(-len(cross) // columns)
    with _figure(7.2, 0.9 + rows * (0.7 + 0.09 * len(shown))) as (figure, save):
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        top = max(float(w.max()) for by_frame in cross.values() for w in by_frame.values())
        for axes, (layer, by_frame) in zip(grid.flat, cross.items(), strict=False):
            image = np.full((len(shown), frames), np.nan)
            for frame, weights in by_frame.items():
                image[:, frame] = weights[shown]
            drawn = axes.imshow(
                np.ma.masked_invalid(image), aspect="auto", cmap="viridis", vmin=0, vmax=top
            )
            axes.set_title(f"layer {layer}")
            axes.set_facecolor("#e2e3e7")
            axes.grid(visible=False)
            axes.set_yticks(range(len(shown)), [str(query) for query in shown], fontsize=6.5)
        for axes in list(grid.flat)[len(cross) :]:
            axes.set_visible(False)
        for axes in grid[-1]:
            _frames(axes, frames)
        for axes in grid[:, 0]:
            axes.set_ylabel("object query")
        bar = figure.colorbar(drawn, ax=grid, shrink=0.8, pad=0.015)
        bar.set_label("weight (grey: no query)")
        bar.outline.set_visible(False)
        figure.suptitle(clean(title), x=0.01, ha="left", fontsize=11)
        return save()


def plot_permutations(test: PermutationTest, *, names: tuple[str, str]) -> bytes:
    """PNG: divergences under permutation, and the one that was observed."""
    what = {
        "swap": "weights swapped, as the DVIS pipeline does; p is biased",
        "shift": "one run moved around the video",
    }
    with _figure(6.0, 3.2) as (figure, save):
        axes = figure.subplots()
        axes.hist(test.null, bins=40, color=SKY, label=f"{test.permutations:,} permutations")
        label = f"observed {test.observed:.4g}, p = {test.p_value:.3g}"
        axes.axvline(test.observed, color=ORANGE, lw=2, label=label)
        axes.set(
            xlabel="mean Jensen-Shannon divergence (bits)",
            ylabel="permutations",
        )
        title = f"{names[0]} against {names[1]}: {what[test.kind]} (seed {test.seed})"
        _titled(figure, axes, title)
        return save()


def plot_divergences(divergences: Mapping[str, float], *, names: tuple[str, str]) -> bytes:
    """PNG: divergence of each video, largest first."""
    ordered = sorted(divergences.items(), key=lambda item: -item[1])
    with _figure(6.0, 1.1 + 0.2 * len(ordered)) as (figure, save):
        axes = figure.subplots()
        places = np.arange(len(ordered))[::-1]
        axes.barh(places, [value for _, value in ordered], color=BLUE, height=0.75)
        axes.set_yticks(places, [clean(f"video {video}") for video, _ in ordered])
        mean = float(np.mean([value for _, value in ordered]))
        axes.axvline(mean, color=ORANGE, lw=1.4, ls="--", label=f"mean {mean:.4g}")
        axes.set(xlabel="Jensen-Shannon divergence (bits)", ylim=(-0.7, len(ordered) - 0.3))
        _titled(figure, axes, f"{names[0]} against {names[1]}")
        return save()


def plot_scrambled(found: Scrambled, *, names: Sequence[str] = ("AP", "AP50", "AP75")) -> bytes:
    """PNG: numbers over videos in order and scrambled, and the best scores by their rank.

    Args:
        found: Of one model.
        names: Of the numbers that are shown; error bars are standard deviations over seeds.
    """
    shown = {
        name: found.average_precision[name] for name in names if name in found.average_precision
    }
    own, others = found.ranked
    with _figure(7.2, 3.2) as (figure, save):
        bars, ranks = figure.subplots(1, 2)
        places = np.arange(len(shown))
        spread = shown.values()
        bars.bar(
            places - 0.2, [100 * s.original for s in spread], 0.38, color=BLUE, label="in order"
        )
        errors = [100 * np.nan_to_num(s.deviation) for s in spread]
        means = [100 * s.mean for s in spread]
        style_of_errors = {"ecolor": BLACK, "capsize": 3, "error_kw": {"lw": 1}}
        label = f"scrambled, {len(others)} seeds"
        bars.bar(
            places + 0.2, means, 0.38, yerr=errors, color=ORANGE, label=label, **style_of_errors
        )
        bars.set_xticks(places, list(shown))
        bars.set(ylabel="average precision (%)", ylim=(0, None))
        _legend_above(bars)
        at = np.arange(1, len(own) + 1)
        ranks.plot(at, own, color=BLUE, lw=1.8, marker=".", label="in order")
        ranks.plot(at, others.mean(0), color=ORANGE, lw=1.6, ls="--", label="scrambled")
        low, high = others.min(0), others.max(0)
        ranks.fill_between(at, low, high, color=ORANGE, alpha=0.2, lw=0, label="all seeds")
        ranks.set(xlabel="videos, best score first", ylabel="score", ylim=(0, 1.02))
        _legend_above(ranks)
        return save()


@contextmanager
def _figure(width_inches: float, height_inches: float) -> Iterator[tuple[Any, Callable[[], bytes]]]:
    """A figure, and what makes a PNG of it: the same bytes for the same plot."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.font_manager import fontManager

    if "Inter" not in fontManager.get_font_names():
        fontManager.addfont(_FONT)
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure((width_inches, height_inches), dpi=style.DPI, layout="constrained")

        def save() -> bytes:
            file = io.BytesIO()
            figure.savefig(file, format="png", metadata={"Software": None})
            return file.getvalue()

        yield figure, save


def _titled(figure: Any, axes: Any, title: str) -> None:
    """Title, and a legend above the plot where there is something to tell apart."""
    figure.suptitle(clean(title), x=0.01, ha="left", fontsize=11)
    _legend_above(axes)


def _legend_above(axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        axes.legend(
            handles, labels, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(labels), borderpad=0
        )


def _shade(axes: Any, frames: Sequence[int] | None, count: int) -> None:
    """A band behind each run of frames."""
    if not frames:
        return
    there = np.zeros(count + 2, bool)
    there[np.array(frames) + 1] = True
    edges = np.flatnonzero(there[1:] != there[:-1]).reshape(-1, 2)
    for number, (start, stop) in enumerate(edges):
        label = None if number else "object annotated"
        axes.axvspan(start - 0.5, stop - 0.5, color=ANNOTATED, lw=0, zorder=0, label=label)


def _even_line(axes: Any, frames: int) -> None:
    axes.axhline(100 / frames, color="#9a9ca4", lw=0.9, zorder=1, label="all frames alike")


def _only(values: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(len(values)), np.where(chosen, values, np.nan)


def _frames(axes: Any, count: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set(xlabel="frame", xlim=(-0.5, count - 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _strongest(cross: Weights) -> list[int]:
    """Object queries that are among the strongest anywhere, at most so many, by number."""
    peaks = np.max([w for by_frame in cross.values() for w in by_frame.values()], axis=0)
    return sorted(int(query) for query in np.argsort(-peaks, kind="stable")[:_MOST_QUERIES])
