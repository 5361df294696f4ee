"""Trains the ResNet that the miniatures of object queries start from, by a loss at every place."""

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from training.places import Places
from training.run import Losses, Plan, Run, Stage
from training.scenes import Batch, Scenes

WIDTHS = (32, 64, 96, 128)
STAGES = ("stage1", "stage2", "stage3", "stage4")
PLAN = Plan(
    steps=200,
    learning_rate=2e-3,
    warm_up=40,
    average=0.98,
    stages=(Stage(until=1.0, size_px=128, batch=24),),
)


def settings(stages: int, out_features: tuple[str, ...]) -> transformers.ResNetConfig:
    """Of a small ResNet with basic blocks, one a stage."""
    return transformers.ResNetConfig(
        embedding_size=WIDTHS[0],
        hidden_sizes=list(WIDTHS[:stages]),
        depths=[1] * stages,
        layer_type="basic",
        out_features=list(out_features),
    )


def normal_norms(network: nn.Module) -> nn.Module:
    """The network with every norm at the identity, where training from scratch starts."""
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)):
            module.reset_parameters()
    return network


class Training(nn.Module):
    """The backbone, and linear layers over strides 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone: Any = normal_norms(transformers.ResNetBackbone(settings(4, STAGES)))
        self.places = nn.ModuleList(Places(width) for width in WIDTHS[1:])

    def losses(self, batch: Batch) -> Losses:
        """One for each stride."""
        maps = self.backbone(batch.pixels).feature_maps[1:]
        pairs: Any = zip(("8", "16", "32"), self.places, maps, strict=True)
        return {f"stride {name}": places.loss(map_, batch) for name, places, map_ in pairs}


def trained(runs: Path, scenes: Scenes) -> tuple[dict[str, Tensor], float]:
    """Weights of the backbone, trained now if there are none, and the seconds it took."""
    training = Training()
    run = Run(training, PLAN, runs / "backbone")
    if run.step < PLAN.steps:
        run.train(
            lambda stage, random: training.losses(scenes.batch(stage.batch, stage.size_px, random))
        )
    averaged: Any = run.averaged
    return averaged.backbone.state_dict(), run.seconds


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    trained(Path("runs"), Scenes(Path("runs", "scenes"), 3000))
