"""Rectified flow: the straight path from noise to data, walked in steps.

Source: arXiv:2209.03003; the shift of arXiv:2403.03206, equation 23. The network predicts data
minus noise, the opposite sign of most flow models.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import CheckpointError, InputError


@dataclass(frozen=True)
class RectifiedFlow:
    """The schedule of a number of steps.

    Attributes:
        steps: How many.
        shift: More than 1 spends more of them near the noise.
        training_steps: Times run from 0 to this number.
    """

    steps: int
    shift: float = 1.0
    training_steps: int = 1000

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"{self.steps} denoising steps, expected at least 1")

    @classmethod
    def from_json(cls, steps: int, config: dict[str, object]) -> "RectifiedFlow":
        """With the settings of `scheduler_config.json`.

        Raises:
            CheckpointError: Dynamic shifting, which the released models do not use.
        """
        if config.get("use_dynamic_shifting"):
            raise CheckpointError(
                "scheduler_config.json has use_dynamic_shifting true; expected false, as in the "
                "released PartCrafter: its schedule depends on a size that images here do not have"
            )
        shift, training = config.get("shift", 1.0), config.get("num_train_timesteps", 1000)
        return cls(steps, float(str(shift)), int(str(training)))

    @property
    def sigmas(self) -> Tensor:
        """Share of noise before each step and after the last, float32 (steps + 1,): 1 to 0."""
        linear = 1 - torch.arange(self.steps + 1, dtype=torch.float64) / self.steps
        return (self.shift * linear / (1 + (self.shift - 1) * linear)).float()

    @property
    def timesteps(self) -> Tensor:
        """Time of each step, float32 (steps,)."""
        return self.sigmas[:-1] * self.training_steps

    def step(self, latents: Tensor, direction: Tensor, index: int) -> Tensor:
        """The latents after a step along the predicted direction."""
        sigmas = self.sigmas
        return latents + float(sigmas[index] - sigmas[index + 1]) * direction
