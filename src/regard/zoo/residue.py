"""What a recording must not leave behind: hooks, attributes, globals, modes."""

import sys
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import module as modules

GLOBAL_HOOKS = ("_global_forward_hooks", "_global_forward_pre_hooks", "_global_backward_hooks")
REGISTRIES = (
    ("transformers.modeling_utils", "ALL_ATTENTION_FUNCTIONS", "_global_mapping"),
    ("transformers.masking_utils", "ALL_MASK_ATTENTION_FUNCTIONS", "_global_mapping"),
    ("diffusers.models.attention_dispatch", "_AttentionBackendRegistry", "_backends"),
)


def state(model: nn.Module) -> dict[str, Any]:
    """Everything about a model, and about torch, that recording could have changed."""
    found: dict[str, Any] = {"torch": _torch_state()}
    for path, part in model.named_modules():
        found[path] = (type(part), part.training, _attributes(part), _hooks(part))
    for path, tensor in (*model.named_parameters(), *model.named_buffers()):
        found[f"{path} itself"] = (id(tensor), tensor.requires_grad, tensor._version)
    return found


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names of what differs."""
    return [name for name in before | after if before.get(name) != after.get(name)]


def _attributes(part: nn.Module) -> dict[str, object]:
    """Names of all attributes, with the identity of those that are code."""
    return {name: id(value) if callable(value) else None for name, value in vars(part).items()}


def _hooks(part: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [
        (name, tuple(id(hook) for hook in hooks.values()))
        for name, hooks in vars(part).items()
        if name.endswith("_hooks") and isinstance(hooks, dict)
    ]


def _torch_state() -> dict[str, Any]:
    """Functions, modes and switches that outlive a `with`."""
    found: dict[str, Any] = {name: id(value) for name, value in vars(F).items() if callable(value)}
    found |= {name: tuple(getattr(modules, name)) for name in GLOBAL_HOOKS}
    for home, name, inside in REGISTRIES:
        registry = getattr(sys.modules.get(home), name, None)
        found[name] = {k: id(v) for k, v in getattr(registry, inside, {}).items()}
    found["modes"] = torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()
    found["switches"] = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()
    found["stance"] = str(torch._dynamo.eval_frame._stance)
    return found
