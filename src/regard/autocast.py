"""The autocast state under which a call ran, to run it again in the same precision."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Autocast:
    """The autocast state under which a call ran."""

    device_type: str
    dtype: torch.dtype
    enabled: bool

    @classmethod
    def now(cls, device: torch.device) -> "Autocast":
        """The state of the current thread, on this kind of device."""
        if not torch._C._is_any_autocast_enabled():  # the question that is answered fastest
            return _off(device)
        enabled = torch.is_autocast_enabled(device.type)
        return cls(device.type, torch.get_autocast_dtype(device.type), enabled)

    def restore(self) -> AbstractContextManager[Any]:
        """A context in which this state rules."""
        if not self.enabled and not torch.is_autocast_enabled(self.device_type):
            return nullcontext()
        return torch.autocast(self.device_type, dtype=self.dtype, enabled=self.enabled)


@cache
def _off(device: torch.device) -> Autocast:
    return Autocast(device.type, torch.get_autocast_dtype(device.type), enabled=False)
