"""Which module is running: a stack of module calls, kept by hooks that live as long as a `with`."""

import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from regard.errors import CaptureError
from regard.intercept.stitcher import Group

HEAD_COUNTS = (
    "num_heads",
    "num_attention_heads",
    "n_heads",
    "nheads",
    "nhead",
    "n_head",
    "heads",
    "num_head",
    "nb_heads",
)

PLAIN_LAYERS: frozenset[type[nn.Module]] = frozenset(
    {
        *(nn.Linear, nn.Embedding, nn.Identity, nn.Flatten, nn.Upsample, nn.PixelShuffle),
        *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d),
        *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.Dropout, nn.Dropout1d, nn.Dropout2d),
        *(nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
        *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid),
        *(nn.Hardswish, nn.Hardsigmoid, nn.Softplus, nn.ELU, nn.GLU, nn.Mish),
    }
)
"""Layers of torch in which no attention can be: they are not followed, and are most of a model.

The classes themselves, not what is derived from them. A softmax is followed.
"""

# asked twice in each pass of a module
_graph_task: Callable[[], int] = torch._C._current_graph_task_id
_thread = threading.get_ident

ATTENTION_NAME = re.compile(r"(attn|attention)(?!\w*output$)|(mh[cs]?a|mla)$", re.IGNORECASE)
"""Names of classes that attend; LxmertAttentionOutput comes after attention and does not."""


@dataclass(eq=False, slots=True)
class Frame:
    """One running module.

    Attributes:
        path: Its name in the recorded model; "" is the model itself.
        module: The module.
        step: How often it ran before, in this recording.
        calls: Attention calls recorded in this pass through it, so far.
        made: The same, where pieces of one attention count each.
        group: The last call, which may have to be continued; None if there is none.
        heads: Number of heads, where a function's own arguments tell it.
        queries: Number of queries, likewise.
        inputs: Positional and keyword arguments of the pass.
        has_left: Whether the pass is over.
    """

    path: str
    module: nn.Module
    step: int = 0
    calls: int = 0
    made: int = 0
    group: Group | None = None
    heads: int | None = None
    queries: int | None = None
    inputs: tuple[Any, Any] = ((), {})
    has_left: bool = False


def _is_plain(kind: type[nn.Module]) -> bool:
    """Whether no attention can be in a layer of this class; nor is any in an activation."""
    return kind in PLAIN_LAYERS or kind.__module__ == "transformers.activations"


def _without_wrappers(path: str) -> str:
    """The path without what torch.compile puts into it, so that globs match either way."""
    if "_orig_mod" not in path:
        return path
    return ".".join(part for part in path.split(".") if part != "_orig_mod")


def _declared_heads(module: nn.Module) -> int | None:
    """The head count that a module has as an attribute, of its own or of its class."""
    own, kind = vars(module), type(module)
    for name in HEAD_COUNTS:  # a module takes long to say that it has no such attribute
        value = own[name] if name in own else getattr(kind, name, None)
        if isinstance(value, property):
            value = getattr(module, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _near(modules: dict[str, nn.Module], patterns: Sequence[str]) -> dict[str, nn.Module]:
    """The modules that any of the globs matches, and the model and its parts that hold them.

    A pass through a part, such as an encoder that is called by itself, is one pass.
    """
    found: dict[str, str] = {}  # by their paths without wrappers
    for path in modules:  # those that hold others come before them
        name = _without_wrappers(path)
        if name.rpartition(".")[0] in found or any(fnmatchcase(name, each) for each in patterns):
            found[name] = path
    if not found:
        asked = patterns[0] if len(patterns) == 1 else patterns
        raise CaptureError(f"no module of the model matches layers={asked!r}")
    near = {"", *found.values(), *(path.partition(".")[0] for path in found.values())}
    return {path: module for path, module in modules.items() if path in near}


def _nothing(_frame: Frame) -> None:
    pass


class ModuleStack:
    """The modules of one model that are running in one thread, outermost first.

    Args:
        model: The model.
        only: Globs of the modules that matter: these are followed, and the parts of the model that
            hold them; all others are left alone. None follows all.

    Raises:
        CaptureError: No module matters.
    """

    def __init__(self, model: nn.Module, only: Sequence[str] | None = None) -> None:
        self._thread = threading.get_ident()
        self.modules = dict(model.named_modules())
        compound = {
            path: m for path, m in self.modules.items() if not _is_plain(type(m)) or m is model
        }
        self.sealed = [
            path for path, m in compound.items() if isinstance(m, torch.jit.ScriptModule)
        ]
        followed = {path: compound[path] for path in compound if path not in self.sealed}
        self.followed = followed if only is None else _near(followed, only)
        self._paths = {id(m): _without_wrappers(path) for path, m in self.followed.items()}
        self._outside = Frame("", model)
        self._frames: list[Frame] = []
        self._key = RemovableHandle(OrderedDict()).id  # one for the hooks of all modules
        self.model = model
        self.on_leaving: Callable[[Frame], None] = _nothing
        self.left: Callable[[Frame], None] | None = None
        self.ran: dict[str, nn.Module] = {}
        self.forward = -1
        self._runs: dict[str, int] = {}
        self._heads: dict[str, int | None] = {}

    def __deepcopy__(self, memo: Any) -> "ModuleStack":
        """Itself: a copy of a model that is being recorded takes the hooks along, to no effect."""
        return self

    def attach(self) -> None:
        """Start to follow the model's modules.

        The hooks are written where `register_forward_hook` writes them. Its handle for each hook
        would take longer than all else that opening a recording does.
        """
        key = self._key
        for module in self.followed.values():
            module._forward_pre_hooks[key] = self._enter
            module._forward_pre_hooks_with_kwargs[key] = True
            module._forward_hooks[key] = self._leave
            module._forward_hooks_always_called[key] = True

    def detach(self) -> None:
        """Leave no hook behind."""
        for frame in self._frames:
            self.on_leaving(frame)
        self._frames.clear()
        self.on_leaving = _nothing  # which held the recorder
        for module in self.followed.values():
            module._forward_pre_hooks.pop(self._key, None)
            module._forward_pre_hooks_with_kwargs.pop(self._key, None)
            module._forward_hooks.pop(self._key, None)
            module._forward_hooks_always_called.pop(self._key, None)
        self.left = None

    @property
    def top(self) -> Frame:
        """The innermost running module; the model itself while none runs."""
        return self._frames[-1] if self._frames else self._outside

    @property
    def is_running(self) -> bool:
        """Whether any module runs."""
        return bool(self._frames)

    @contextmanager
    def resumed(self, frame: Frame) -> Iterator[None]:
        """A context in which a module that has ended is the running one again."""
        self._frames.append(frame)
        try:
            yield
        finally:
            self._frames.pop()

    def is_in_a_stranger(self) -> bool:
        """Whether only modules run that are no part of the model, such as those around it.

        No hook tells of them; they are found on the Python stack. Where no module runs at all, a
        method of the model may have called torch itself: that is the model's own.
        """
        frame = None if self._frames else sys._getframe()
        while frame is not None:
            if frame.f_code is nn.Module._call_impl.__code__:
                return True
            frame = frame.f_back
        return False

    @property
    def around(self) -> list[Frame]:
        """The running modules that hold the innermost one."""
        return self._frames[:-1]

    def head_count(self) -> int | None:
        """Number of heads that the running module, or one of the two around it, declares."""
        for frame in reversed([self._outside, *self._frames][-3:]):
            if frame.heads is not None:
                return frame.heads
            if frame.path not in self._heads:
                self._heads[frame.path] = _declared_heads(frame.module)
            if self._heads[frame.path] is not None:
                return self._heads[frame.path]
        return None

    def is_called_attention(self, path: str | None = None) -> bool:
        """Whether the class of a module, or of the one that holds it, is named after attention.

        Of the running module by default.
        """
        path = self.top.path if path is None else path
        around = [path, path.rpartition(".")[0]]
        return any(
            p in self.ran and ATTENTION_NAME.search(type(self.ran[p]).__name__) for p in around
        )

    def _enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        path = self._paths.get(id(module))
        if path is None or self._is_elsewhere():
            return
        if not self._frames:
            self.forward += 1
        self.ran[path] = module
        step = self._runs.get(path, 0)
        self._runs[path] = step + 1
        self._frames.append(Frame(path, module, step, inputs=(args, kwargs)))

    def _leave(self, module: nn.Module, _args: Any, _output: Any) -> None:
        if id(module) not in self._paths or self._is_elsewhere():
            return
        while self._frames:  # a module whose own hooks raised never reached its leaving hook
            frame = self._frames.pop()
            frame.has_left = True
            if frame.group is not None:
                self.on_leaving(frame)
            if frame.module is module:
                if self.left is not None:
                    self.left(frame)
                break

    def _is_elsewhere(self) -> bool:
        """In another thread, or inside a backward pass that runs a checkpoint again."""
        return _graph_task() != -1 or _thread() != self._thread


def must_not_record() -> bool:
    """While a function is transformed, or a checkpoint is run again."""
    return torch._C._functorch.peek_interpreter_stack() is not None or _graph_task() != -1
