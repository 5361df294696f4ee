"""Loading an official checkpoint of DVIS-DAQ, without detectron2 and without running its code."""

import os
import re
from pathlib import Path
from typing import Any

from torch import Tensor

from regard.errors import CheckpointError
from regard.models.checkpoint import read_weights_file
from regard.models.dvis_daq.architecture import build
from regard.models.dvis_daq.model import DvisDaq

# Tensors that inference never reads: of training, and of parts that DVIS-DAQ does not use.
_UNUSED = (
    r"daq_criterion\.",
    r"criterion\.",
    r"pixel_(mean|std)$",
    r"backbone\.vit_module\.(mask_token|norm\.)",
    r"backbone\..*\.num_batches_tracked$",
    r"sem_seg_head\.predictor\.reid_embed\.",
)
_UNUSED_PATTERN = re.compile("|".join(_UNUSED))

# Names of older files -> names since.
_RENAMED = {
    "sem_seg_head.predictor.static_query.weight": "sem_seg_head.predictor.query_feat.weight"
}

_SHOWN = 5


def load(path: str | os.PathLike[str]) -> DvisDaq:
    """The network of a checkpoint file: float32, evaluation mode, on the CPU.

    Its sizes are read off the tensors. Online models have no refiner.

    Args:
        path: An official ``.pth`` file, detectron2's ``.pkl``, or the tensors as ``.safetensors``.

    Raises:
        ModelNotFound: There is no such file.
        CheckpointError: It is damaged, or not of a DVIS-DAQ model.
        UnsafeCheckpoint: It would have to run code to be read.
    """
    return from_state(read_weights_file(Path(path)), name=os.fspath(path))


def from_state(state: dict[str, Tensor], *, name: str = "the checkpoint") -> DvisDaq:
    """The network of tensors under upstream's names; ``name`` is what errors call them."""
    used = {
        _RENAMED.get(key, key): tensor.float() if tensor.is_floating_point() else tensor
        for key, tensor in state.items()
        if not _UNUSED_PATTERN.match(key)
    }
    model = build(used)
    _require_match(name, _shapes(model.state_dict()), _shapes(used))
    model.load_state_dict(used, strict=False)
    return model.requires_grad_(False).eval()


def _shapes(state: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors; counters and index tables, which follow from them, are left out."""
    return {
        key: tuple(tensor.shape)
        for key, tensor in state.items()
        if not key.endswith(("num_batches_tracked", "relative_position_index"))
    }


def _require_match(
    name: str, expected: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]
) -> None:
    missing = sorted(expected.keys() - found.keys())
    unknown = sorted(found.keys() - expected.keys())
    wrong = [
        f"{key} {found[key]} instead of {expected[key]}"
        for key in sorted(expected.keys() & found.keys())
        if expected[key] != found[key]
    ]
    problems = [
        f"{what} {', '.join(keys[:_SHOWN])}{' ...' if len(keys) > _SHOWN else ''}"
        for what, keys in (("lacks", missing), ("has unknown", unknown), ("has", wrong))
        if keys
    ]
    if problems:
        raise CheckpointError(
            f"{name} does not fit DVIS-DAQ: it {'; it '.join(problems)}; expected the tensors of "
            "an official checkpoint"
        )
