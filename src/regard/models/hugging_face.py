"""The border to transformers: it builds the network, we say from what, and check what it did."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import transformers
from torch import Tensor
from transformers.utils import logging as transformers_logging

from regard.errors import CheckpointError

# left out of what is read: they would load other code, or other weights, than the folder's
_IGNORED_CONFIG = (
    "auto_map",
    "attn_implementation",
    "_attn_implementation",
    "experts_implementation",
)


def build(
    model_class: type[transformers.PreTrainedModel],
    config: Mapping[str, Any],
    weights: dict[str, Tensor],
    *,
    where: str,
    may_lack: Callable[[str], bool] = lambda key: False,
    may_hold: Callable[[str], bool] = lambda key: False,
    **options: Any,
) -> transformers.PreTrainedModel:
    """A network with these weights, on the CPU, in float32 and evaluation mode.

    Args:
        model_class: Class of transformers, or one made of its parts.
        config: The class's settings, as ``config.json`` holds them.
        weights: Every tensor by its name.
        where: What they were read from, for messages.
        may_lack: Whether a weight that the network has need not be among the given ones.
        may_hold: Whether a given weight that the network has no place for may be left out.
        **options: Further arguments of the class.

    Raises:
        CheckpointError: The weights are not those of the settings, or the class refuses them.
    """
    settings = {key: value for key, value in config.items() if key not in _IGNORED_CONFIG}
    try:
        with quiet_transformers():
            module, report = model_class.from_pretrained(
                None,
                config=model_class.config_class.from_dict(settings),
                state_dict=weights,
                dtype="float32",
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # the one border to transformers, which raises many kinds
        raise CheckpointError(
            f"{where} does not load as {model_class.__name__}: "
            f"{type(error).__name__}: {str(error).strip()[:500]}"
        ) from error
    missing = {key for key in report["missing_keys"] if not may_lack(key)}
    surplus = {key for key in report["unexpected_keys"] if not may_hold(key)}
    if missing or surplus or report["mismatched_keys"] or report["error_msgs"]:
        raise CheckpointError(
            f"the weights in {where} are not those of its config.json ({model_class.__name__})"
            f": {_sample('missing', missing)}; {_sample('left over', surplus)}; "
            f"{_sample('of another shape', report['mismatched_keys'])}; "
            "take both files from one source"
        )
    return module.eval()


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bar and no load report: what it would say is checked in `build`."""
    level, bars = (
        transformers_logging.get_verbosity(),
        transformers_logging.is_progress_bar_enabled(),
    )
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


def _sample(what: str, keys: Iterable[Any]) -> str:
    names = sorted(str(key) for key in keys)
    return f"{len(names)} {what}" + (f" ({', '.join(names[:3])})" if names else "")
