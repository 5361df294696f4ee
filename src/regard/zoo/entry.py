"""One line of the zoo: a tiny model with random weights, and what there is to record in it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

Inputs = dict[str, Any] | tuple[Any, ...]
Made = tuple[nn.Module, Inputs]
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

GAIN = 1.5
"""How much larger than their input the outputs of random layers are."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One architecture, and what a recording of one forward pass must hold.

    Attributes:
        name: What it is called, unique in the zoo.
        library: The package that it comes from; the entry is skipped where that is missing.
        make: Gives the model and the arguments of one forward pass.
        calls: Calls by the way in which they are computed, such as "4 sdpa, 2 softmax".
        unrecorded: Layers that must be listed as not recorded: (end of the path, part of the
            reason).
        softmaxes: Softmaxes that torch runs in one pass, fused ones included; None if as many as
            there are calls.
        output_change: Largest difference of the outputs with and without recording; 0 for none.
        because: Why these numbers are as they are; what else a reader must know.
        slow: Takes more than a second or two.
    """

    name: str
    library: str
    make: Callable[[], Made]
    calls: str
    unrecorded: tuple[tuple[str, str], ...] = ()
    softmaxes: int | None = None
    output_change: float = 0.0
    because: str = ""
    slow: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def count(self) -> int:
        """Attention calls of one pass."""
        return sum(int(part.split()[0]) for part in self.calls.split(", ") if part)

    @property
    def missing(self) -> str:
        """Why it cannot run here; "" if it can."""
        return "" if find_spec(self.library) else f"{self.library} is not installed"

    def build(self) -> Made:
        """The model in evaluation mode, always with the same weights, and its arguments."""
        torch.manual_seed(0)
        model, inputs = self.make()
        settle(lively(model), inputs)
        return model, inputs


def run(model: nn.Module, inputs: Inputs) -> Any:
    """The output of one pass; what a model draws at random is always the same."""
    torch.manual_seed(0)
    with torch.no_grad():
        return model(**inputs) if isinstance(inputs, dict) else model(*inputs)


def lively(model: nn.Module) -> nn.Module:
    """The model in evaluation mode, with weights so large that attention is far from uniform."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                spread = GAIN / max(1, parameter[0].numel()) ** 0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
            elif parameter.numel() and 0 < parameter.abs().max() < 0.1:
                parameter.fill_(1.0)  # a layer scale, which training would have let grow
    return model.eval()


def settle(model: nn.Module, inputs: Inputs) -> None:
    """Give batch norms the statistics of what they see, as training would, in one pass.

    Without it, dozens of random convolutions after each other leave nothing or overflow.
    """

    def learn(norm: Any, args: tuple[Tensor, ...]) -> None:
        axes = [axis for axis in range(args[0].dim()) if axis != 1]
        norm.reset_parameters()
        variance, mean = torch.var_mean(args[0], axes, correction=0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance.where(variance > 1e-12, 1.0))

    norms = [m for m in model.modules() if isinstance(m, BATCH_NORMS) and m.track_running_stats]
    handles = [norm.register_forward_pre_hook(learn) for norm in norms]
    if norms:
        run(model, inputs)
    for handle in handles:
        handle.remove()


@dataclass(frozen=True)
class Config:
    """A configuration of transformers inside another one, made when its model is."""

    name: str
    values: dict[str, Any]

    def make(self) -> Any:
        """The configuration."""
        return getattr(import_module("transformers"), f"{self.name}Config")(**made(self.values))


def config(name: str, **values: Any) -> Config:
    """The configuration NAMEConfig of transformers."""
    return Config(name, values)


def made(values: dict[str, Any]) -> dict[str, Any]:
    """The values with every `Config` among them made."""
    return {key: v.make() if isinstance(v, Config) else v for key, v in values.items()}


def of_transformers(
    name: str, inputs: Callable[[], Inputs], calls: str, cls: str, /, **values: Any
) -> Entry:
    """The model `cls` of transformers, configured with these values."""
    about = {k: values.pop(k) for k in ABOUT if k in values}

    def make() -> Made:
        model = getattr(import_module("transformers"), cls)
        return model(model.config_class(**made(values))), inputs()

    return Entry(name, "transformers", make, calls, **about)


def of_diffusers(
    name: str, inputs: Callable[[], Inputs], calls: str, cls: str, /, **values: Any
) -> Entry:
    """The model `cls` of diffusers."""
    about = {k: values.pop(k) for k in ABOUT if k in values}

    def make() -> Made:
        return getattr(import_module("diffusers"), cls)(**values), inputs()

    return Entry(name, "diffusers", make, calls, **about)


ABOUT = ("unrecorded", "softmaxes", "output_change", "because", "slow")
"""Words of a line that are about the recording, not for the model."""
