"""What must give the same on every device; run as a program, on the CPU and on another device.

`python cases.py cuda [CASE...]`, or `python cases.py LIBRARY.so [CASE...]` for the pretended device
of a built `pretend.cpp`. The same to rounding: kernels differ, and operators that have one of their
own for the CPU are taken apart elsewhere.

Prints a JSON object: for each case "" or what went wrong. A program of its own, because a process
that has a second device cannot lose it again.
"""

import json
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

import aoanet
import diffusers_pipelines
import regard
import segmenters
from checkpoints import write_checkpoint
from partcrafter_checkpoint import write_partcrafter
from regard.models.aoanet.decoding import Decoding
from regard.models.partcrafter.checkpoint import load as load_partcrafter

TOLERANCE = 1e-4
"""For float32 through a dozen layers, and the vertices of surfaces where a field is zero."""

Values = dict[str, Any]
Case = Callable[[str, Path], Values]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    """One of the cases."""
    CASES[function.__name__] = function
    return function


class Attends(nn.Module):
    """Every mechanism of plain torch: fused, multihead, written out, with masks and a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(16, 2, batch_first=True), 2)
        self.bias = nn.Parameter(torch.randn(2, 5, 9))

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """(1, 5, 16) and (1, 9, 16)."""
        mask = torch.ones(5, 9, dtype=torch.bool, device=x.device).tril(4)
        y = self.decoder(x, memory, memory_mask=~mask)
        q, k = (t.unflatten(-1, (2, 8)).transpose(1, 2) for t in (y, memory))
        y = nn.functional.scaled_dot_product_attention(q, k, k, attn_mask=mask)
        scores = (y @ k.transpose(-1, -2) + self.bias).masked_fill(~mask, -torch.inf)
        weighed: Tensor = scores.softmax(-1) @ k
        return weighed


@case
def record(device: str, _folder: Path) -> Values:
    """Weights, gradients, reductions, rollout, saving."""
    torch.manual_seed(0)
    model = Attends().eval()
    x, memory = torch.randn(1, 5, 16), torch.randn(1, 9, 16)
    model, x, memory = model.to(device), x.to(device), memory.to(device)
    with regard.record(model, keep="qk", gradients=True) as recording:
        out = model(x, memory)
        out.square().sum().backward()
    found: Values = {"errors": [c.error for c in recording.verify()]}
    for number, call in enumerate(recording):
        found |= {
            f"{number}.weights": call.weights(),
            f"{number}.rows": call.weights(queries=[1, 3], heads=[1], masked=False),
            f"{number}.entropy": call.entropy(),
            f"{number}.received": call.received(),
            f"{number}.gradient": call.gradient(),
        }
    path = recording.save(_folder / "recording.safetensors")
    found["loaded"] = [call.weights() for call in regard.Recording.load(path)]
    return found


@case
def image(device: str, folder: Path) -> Values:
    """A vision transformer with registers."""
    source = write_checkpoint(folder / "model", "dinov2_with_registers")
    found = regard.image(photo(folder), model=regard.load_model(source, device=device), layer="*")
    found.summary()
    return {"heat": found.heat(), "rollout": regard.rollout(found.recording)}


@case
def panoptic_detr(device: str, folder: Path) -> Values:
    """DETR with its mask head."""
    return _objects(segmenters.tiny_detr(), device, folder)


@case
def panoptic_mask2former(device: str, folder: Path) -> Values:
    """Mask2Former: deformable encoder, masked decoder."""
    return _objects(segmenters.covering(segmenters.tiny_mask2former()), device, folder)


def _objects(model: Any, device: str, folder: Path) -> Values:
    source = segmenters.save(model, folder / "model")
    loaded = regard.load_model(source, device=device)
    found = regard.panoptic(photo(folder), model=loaded, query=1, threshold=0.0)
    weights = [call.weights(queries=[0]) for call in found.recording]
    heats = [found.heat(layer) for layer in found.layers]
    return {"logits": found.predictions.class_logits, "weights": weights, "heats": heats}


@case
def caption(device: str, _folder: Path) -> Values:
    """AoANet, beam search and replay."""
    one = aoanet.captioner()
    one.network.to(device)
    features = aoanet.region_features()
    found = regard.caption(
        aoanet.photo(), model=one, features=features, decoding=Decoding(beam=3), best=2
    )
    return {
        "words": [each.words for each in found],
        "heats": [each.heats() for each in found],
        "from_input": found[0].of(from_input=True).weights(),
    }


@case
def video(device: str, folder: Path) -> Values:
    """DVIS-DAQ, segmenter to refiner, and what of it is on the disk."""
    clip = folder / "clip"
    clip.mkdir()
    for frame in range(4):
        aoanet.photo().resize((64 + frame, 48)).crop((frame, 0, 64 + frame, 48)).save(
            clip / f"{frame}.png"
        )
    weights = Path(os.environ["REGARD_SHARED"], "parity", "dvis_daq", "weights.safetensors")
    with regard.video(clip, model=weights, device=device) as found:
        rows = range(len(found.attention.output.rows))
        heats = [found.attention.heat(row, 1) for row in rows]
        found.save(folder / "run", instances=0)
        run = regard.open_run(folder / "run")
        stored = run.video(run.videos[0])
        tracks = sorted({one.row for one in stored.instances if one.track_id is not None})
        return {
            "scores": [d.score for d in found.instances],
            "heats": heats,
            "masks": found.attention.output.mask_logits(1, rows).sigmoid(),
            "size": [*found.masks(0, rows).shape],
            "stored": [stored.heat(row, 1) for row in tracks],
        }


@case
def generate(device: str, folder: Path) -> Values:
    """PartCrafter, photo to meshes."""
    source = write_partcrafter(folder / "model")
    model = load_partcrafter(source, device=device)
    options: Values = {"steps": 2, "tokens": 8, "depth": 4, "coarse_depth": None}
    made = regard.generate(photo(folder), 2, model=model, between_parts=True, **options)
    heats = made.attention.heat()
    points = [mesh.vertices for mesh in made.meshes if mesh]
    return {"heats": heats, "latents": made.latents, "vertices": points}


@case
def prompt(device: str, _folder: Path) -> Values:
    """A diffusers pipeline."""
    pipeline = diffusers_pipelines.stable_diffusion().to(device)
    with regard.watch_prompt(pipeline, "a red cat") as found:
        pipeline(
            "a red cat",
            num_inference_steps=2,
            height=16,
            width=16,
            generator=torch.Generator().manual_seed(0),
        )
    return {"heat": found.heat("cat")}


def photo(folder: Path) -> Path:
    path = folder / "photo.png"
    aoanet.photo().resize((100, 70), Image.Resampling.BILINEAR).save(path)
    return path


def differences(a: Any, b: Any, where: str = "") -> list[str]:
    """Where two results are not the same."""
    if isinstance(a, dict):
        return [d for key in a for d in differences(a[key], b[key], f"{where}.{key}")]
    if isinstance(a, (list, tuple)):
        lengths = [] if len(a) == len(b) else [f"{where}: {len(a)} and {len(b)} items"]
        pairs = enumerate(zip(a, b, strict=False))
        return lengths + [d for i, (x, y) in pairs for d in differences(x, y, f"{where}[{i}]")]
    if isinstance(a, Tensor):
        try:
            torch.testing.assert_close(b.cpu(), a, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        except AssertionError as error:
            return [f"{where}: {error}"]
        return []
    if isinstance(a, (float, np.ndarray)):
        return differences(torch.as_tensor(a), torch.as_tensor(b), where)
    return [] if a == b else [f"{where}: {a} and {b}"]


def outcome(function: Case, other: str) -> str:
    """What is wrong with a case on the other device."""
    try:
        results = []
        for device in ("cpu", other):
            with tempfile.TemporaryDirectory() as folder:
                torch.manual_seed(0)
                results.append(function(device, Path(folder)))
        if not results[0]:
            return "it gave nothing"
        return "\n".join(differences(results[0], results[1]))
    except Exception:
        return traceback.format_exc()


def refusal(other: str) -> str:
    """Why the device refuses a product with a tensor of the CPU."""
    try:
        torch.ones(2, device=other) @ torch.ones(2)
    except RuntimeError as error:
        return str(error)
    return ""


def pretend(library: str) -> str:
    """The device of a library that was built from `pretend.cpp`."""
    torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    _setup_privateuseone_for_python_backend("pretend")
    torch.pretend.get_amp_supported_dtype = lambda: [torch.bfloat16]  # type: ignore[attr-defined]
    return "pretend"


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False  # convolutions round like a CPU's
    warnings.simplefilter("ignore")
    device = "cuda" if sys.argv[1] == "cuda" else pretend(sys.argv[1])
    wanted = sys.argv[2:] or list(CASES)
    found = {name: outcome(CASES[name], device) for name in wanted}
    print(json.dumps({**found, "refusal": refusal(device)}))
