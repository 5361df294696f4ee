"""From a recipe to the folder of a miniature: trains, measures, writes weights."""

import argparse
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from training.card import write_card
from training.run import Losses, Plan, Run, Stage
from training.scenes import SIZE_PX, Batch, Scenes

SHIPPED = Path(__file__).parents[1] / "src" / "regard" / "miniatures"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What makes a miniature of object queries."""

    name: str
    about: str
    """What it is, in a sentence or two, for its card."""
    plan: Plan
    network: Callable[[dict[str, Tensor]], nn.Module]
    """A fresh network over the weights of a backbone; ``shipped`` is its part that is shipped."""
    backbone: Callable[[Path, Scenes], tuple[dict[str, Tensor], float]]
    """Its weights, and the seconds that they took, given the folder of all runs."""
    losses: Callable[[Any, Batch], Losses]
    """What is minimised."""
    features: Callable[[Any, Tensor], Sequence[Tensor]]
    """The backbone's feature maps of photos, which the network's ``kinds`` takes."""
    sharpness: float
    """Factor of the class logits: short runs leave them less sure than they are right, and the
    papers' thresholds want certainty. Chosen by panoptic quality on scenes from seed 5000 on."""
    size_px: int
    """Short side of the photo that the trained model sees."""
    layers: Sequence[int]
    """Decoder layers whose attention its card speaks of."""
    besides: Sequence[str]
    """Losses that the paper does not have, a few words each, for its card."""
    note: str
    """How the run went that made what is shipped, for its card."""


def main(recipe: Recipe) -> None:
    """The command of a training script."""
    parser = argparse.ArgumentParser(description=f"Trains {recipe.name}.")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs")
    parser.add_argument("--scenes", type=int, default=3000, help="how many to train on")
    parser.add_argument("--steps", type=int, default=recipe.plan.steps)
    parser.add_argument("--ship", action="store_true", help="write the miniature, train no more")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(recipe.plan.seed)
    scenes = Scenes(options.runs / "scenes", options.scenes)
    weights, backbone_seconds = recipe.backbone(options.runs, scenes)
    network = recipe.network(weights)
    plan = replace(recipe.plan, steps=options.steps)
    run = Run(network, plan, options.runs / recipe.name)
    if not options.ship:
        run.train(lambda stage, random: losses(recipe, network, scenes, stage, random))
    write(run, recipe, SHIPPED / recipe.name)
    write_card(
        SHIPPED / recipe.name,
        about=recipe.about,
        plan=plan,
        steps=run.step,
        scenes=options.scenes,
        minutes=run.seconds / 60,
        backbone_minutes=backbone_seconds / 60,
        sharpness=recipe.sharpness,
        layers=recipe.layers,
        besides=recipe.besides,
        note=recipe.note,
    )


def losses(
    recipe: Recipe, network: Any, scenes: Scenes, stage: Stage, random: np.random.Generator
) -> Losses:
    """Of the network, and of the kinds that its backbone tells apart."""
    found = recipe.losses(network, scenes.batch(stage.batch, stage.size_px, random))
    if stage.more:
        more = scenes.batch(stage.more, SIZE_PX // 2, random)
        found["kinds"] = network.kinds.loss(recipe.features(network, more.pixels), more)
    return found


def write(run: Run, recipe: Recipe, folder: Path) -> None:
    """Write the averaged weights in float16, and the settings beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    network: Any = run.averaged.shipped
    weights = {
        name: tensor.detach().half().contiguous()
        for name, tensor in network.state_dict().items()
        if tensor.is_floating_point()
    }
    for name in weights:
        if name.removeprefix("detr.").startswith(("class_predictor.", "class_labels_classifier.")):
            weights[name] *= recipe.sharpness
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = network.config.to_diff_dict()
    _write_json(folder / "config.json", config)
    size = {"shortest_edge": recipe.size_px, "longest_edge": 2 * recipe.size_px}
    _write_json(folder / "preprocessor_config.json", {"size": size})
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    size_mb = (folder / "model.safetensors").stat().st_size / 1e6
    print(f"{folder}: {size_mb:.2f} MB, sha256 {digest}, step {run.step}, {run.seconds:.0f} s")


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
