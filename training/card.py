"""The model card of a miniature of object queries: what it is, and what was measured."""

import math
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

import regard
from training.quality import look, own_share, quality
from training.run import Plan

_SCENES = 24

_TEXT = """\
# {name}

{about}

It knows the scenes of `regard.datasets.shapes` and nothing else: {classes}. It exists so that
every view of regard shows something true on a machine without a hub. Do not use it on photos.

| | |
|---|---|
| weights | {parameters:.2f} million, stored in float16 |
| data | {scenes} generated scenes (seeds 0 to {last}), half of them mirrored, at {sizes} px |
| made by | `python -m training.{script}`, {steps} steps |
| calibration | class logits times {sharpness:g} in the end, so that the paper's threshold fits |
| time | {time} |
| machine | {machine} |
| panoptic quality | PQ {pq:.1f}, SQ {sq:.1f}, RQ {rq:.1f} on {measured} scenes never trained on |
| attention on the own object | {own} |
| licence | Apache-2.0, data and weights made by this project |

Losses besides those of the paper, for training alone:

{besides}

{note}

The panoptic quality of shuffled pairs of scene and prediction is {control:.1f}.
{attention}"""

_ATTENTION = """\
Attention is the mean share of an object query's cross-attention on its own object, over the last
{layers} decoder layer(s); on the next object of the same scene it is {elsewhere:.0f} %.
"""


def write_card(
    folder: Path,
    *,
    about: str,
    plan: Plan,
    steps: int,
    scenes: int,
    minutes: float,
    backbone_minutes: float,
    sharpness: float,
    layers: Sequence[int],
    besides: Sequence[str],
    note: str,
) -> None:
    """Measure a miniature on held-out scenes, and write its ``README.md``.

    Args:
        folder: Of the miniature; weights and settings are there.
        about: What it is, in a sentence or two.
        plan: What it was trained by.
        steps: How many were taken.
        scenes: How many it was trained on.
        minutes: CPU time of the training.
        backbone_minutes: CPU time of the backbone's; 0 if it was there before.
        sharpness: What its class logits were multiplied by.
        layers: Decoder layers whose attention is measured.
        besides: Losses that the paper does not have.
        note: How the run went.
    """
    model = regard.load_model(folder)
    looked = look(model, _SCENES)
    with tempfile.TemporaryDirectory() as files:
        found = quality(looked, Path(files, "own")).mean()
        control = quality(looked, Path(files, "shuffled"), shift=1).mean()[0]
    pq, sq, rq = (100 * value for value in found)
    share = own_share(looked, layers)
    own = "none was found" if math.isnan(share.masked) else f"{100 * share.masked:.0f} %"
    if share.masked > share.unmasked:
        own += f" as the model runs, {100 * share.unmasked:.0f} % without the layers' masks"
    more = f", and {backbone_minutes:.1f} for its backbone" if backbone_minutes else ""
    text = _TEXT.format(
        name=folder.name,
        about=about,
        besides="\n".join(f"- {loss}" for loss in besides),
        note=note,
        classes=", ".join(looked[0][1].predictions.categories.names),
        parameters=sum(p.numel() for p in model.module.parameters()) / 1e6,
        scenes=scenes,
        last=scenes - 1,
        sizes=", then ".join(str(stage.size_px) for stage in plan.stages),
        script=folder.name.replace("-", "_"),
        steps=steps,
        time=f"{minutes:.0f} CPU minutes on one thread" + more,
        machine=f"{platform.machine()}, CPU only",
        measured=_SCENES,
        pq=pq,
        sq=sq,
        rq=rq,
        own=own,
        control=100 * control,
        sharpness=sharpness,
        attention=_ATTENTION.format(layers=len(layers), elsewhere=100 * share.elsewhere)
        if not math.isnan(share.elsewhere)
        else "",
    )
    (folder / "README.md").write_text(text)
