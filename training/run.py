"""A training run: schedule, averaged weights, checkpoints to go on from, a line of progress."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Losses = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of a run."""

    until: float
    """Share of all steps at which it ends."""
    size_px: int
    """Height and width of the photos."""
    batch: int
    """Photos in a step."""
    more: int = 0
    """Photos besides that only the backbone sees, at half the size that is kept."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to train."""

    steps: int
    learning_rate: float
    stages: Sequence[Stage]
    warm_up: int = 100
    """Steps until the learning rate is full; after them it falls along a cosine."""
    backbone: str = ""
    """Part of the names of the backbone's weights; "" where all learn alike."""
    backbone_times: float = 1.0
    """Learning rate of the backbone, as a multiple."""
    weight_decay: float = 1e-4
    clip: float = 1.0
    """Largest norm of the gradient."""
    average: float = 0.997
    """How much of the averaged weights stays at each step."""
    seed: int = 0

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        falling = 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / self.steps))
        return self.learning_rate * min(1.0, (step + 1) / self.warm_up) * max(falling, 0.01)

    def stage(self, step: int) -> Stage:
        """The stage that a step belongs to."""
        return next(stage for stage in self.stages if step < stage.until * self.steps)


class Run:
    """Trains a network, and keeps the running average of its weights.

    Stopped at any time, it goes on from its last checkpoint; a plan with another number of steps
    is followed from there.
    """

    def __init__(self, network: nn.Module, plan: Plan, folder: Path) -> None:
        self.network, self.plan = network, plan
        self.averaged = copy.deepcopy(network).eval()
        self.step, self.seconds = 0, 0.0
        self._path = folder / "checkpoint.pt"
        folder.mkdir(parents=True, exist_ok=True)
        self._optimizer = torch.optim.AdamW(_groups(network, plan), fused=True)
        if self._path.is_file():
            self._load(torch.load(self._path, weights_only=True))

    def train(
        self,
        losses: Callable[[Stage, np.random.Generator], Losses],
        *,
        report_every: int = 20,
        save_every: int = 50,
    ) -> None:
        """Take the steps that are left.

        Args:
            losses: Called at each step with its stage and its random numbers; their sum is
                minimised.
            report_every: Steps between two lines of progress.
            save_every: Steps between two checkpoints.
        """
        self.network.train()
        while self.step < self.plan.steps:
            begun = time.process_time()
            random = np.random.default_rng((self.plan.seed, self.step))
            values = losses(self.plan.stage(self.step), random)
            self._take(sum(values.values(), torch.zeros(())))
            self.step += 1
            self.seconds += time.process_time() - begun
            if self.step % report_every == 0 or self.step == self.plan.steps:
                print(self._words(values), flush=True)
            if self.step % save_every == 0 or self.step == self.plan.steps:
                self._save()

    def _take(self, loss: Tensor) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = group["times"] * self.plan.rate(self.step)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.clip)
        self._optimizer.step()
        keep = min(self.plan.average, (1 + self.step) / (10 + self.step))
        pairs = zip(
            self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True
        )
        averages, values = zip(
            *(pair for pair in pairs if pair[0].is_floating_point()), strict=True
        )
        torch._foreach_lerp_(list(averages), list(values), 1 - keep)

    def _words(self, values: Losses) -> str:
        left = self.seconds / self.step * (self.plan.steps - self.step)
        parts = " ".join(f"{name} {value.item():.3f}" for name, value in values.items())
        return (
            f"step {self.step} of {self.plan.steps}, {self.seconds / 60:.1f} CPU minutes, "
            f"{left / 60:.0f} left at this pace: {parts}"
        )

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        part = self._path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self._path)

    def _load(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]


def _groups(network: nn.Module, plan: Plan) -> list[dict[str, Any]]:
    """Weights by learning rate, and by whether they decay: matrices and filters do."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, value in network.named_parameters():
        times = plan.backbone_times if plan.backbone and plan.backbone in name else 1.0
        decay = plan.weight_decay if value.dim() >= 2 else 0.0
        groups.setdefault((times, decay), []).append(value)
    return [
        {"params": values, "times": times, "weight_decay": decay, "lr": 0.0}
        for (times, decay), values in groups.items()
    ]
