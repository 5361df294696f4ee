"""A training loop that can be stopped at any time and goes on where it was."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

_SAVE_SECONDS = 60.0
_SAY_STEPS = 10


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long, and how fast, a stage learns."""

    steps: int
    rate: float
    """Highest learning rate; it rises over the first steps and falls to 0 as a cosine."""
    warm_steps: int = 100
    decay: float = 0.05
    """Weight decay."""
    largest_norm: float = 1.0
    """Gradients are cut to this norm."""

    def at(self, step: int) -> float:
        """Share of ``rate`` at a step."""
        warm = min(1.0, (step + 1) / self.warm_steps)
        return warm * (1 + math.cos(math.pi * step / self.steps)) / 2


def learn(
    module: nn.Module,
    schedule: Schedule,
    step_loss: Callable[[int], Tensor],
    checkpoint: Path,
) -> None:
    """Learn for as many steps as the schedule says, those of an earlier run included.

    Args:
        module: What learns: its parameters that require a gradient.
        schedule: How long and how fast.
        step_loss: The loss of one step, by its number; what is random in it depends on that alone.
        checkpoint: Where the state is kept, about once a minute and at the end.
    """
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=schedule.rate, weight_decay=schedule.decay)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, schedule.at)
    first = _resume(checkpoint, module, optimiser, rate)
    saved = began = time.monotonic()
    mean = math.nan
    for step in range(first, schedule.steps):
        loss = step_loss(step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learning, schedule.largest_norm)
        optimiser.step()
        rate.step()
        value = loss.item()
        mean = value if math.isnan(mean) else 0.95 * mean + 0.05 * value
        if (step + 1) % _SAY_STEPS == 0:
            spent = time.monotonic() - began
            pace = spent / (step + 1 - first)
            left = pace * (schedule.steps - step - 1)
            line = f"{checkpoint.stem}: step {step + 1} of {schedule.steps}, loss {mean:.3f}"
            print(f"{line}, {pace:.2f} s a step, {left / 60:.1f} min left", flush=True)
        if time.monotonic() - saved > _SAVE_SECONDS or step + 1 == schedule.steps:
            _save(checkpoint, module, optimiser, rate, step + 1)
            saved = time.monotonic()


def _save(
    path: Path,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    rate: torch.optim.lr_scheduler.LambdaLR,
    step: int,
) -> None:
    state = {
        "step": step,
        "module": module.state_dict(),
        "optimiser": optimiser.state_dict(),
        "rate": rate.state_dict(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    torch.save(state, beside)
    beside.replace(path)


def _resume(
    path: Path,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    rate: torch.optim.lr_scheduler.LambdaLR,
) -> int:
    """The step to go on with; state comes from the file, if there is one."""
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    module.load_state_dict(state["module"])
    optimiser.load_state_dict(state["optimiser"])
    rate.load_state_dict(state["rate"])
    step: int = state["step"]
    return step
