"""`python -m regard.tools.visualize_attention`: the calls of a guide to AoANet's attention.

Options, file names and the function's signature are those of the guide. Where it could not work:

- AoANet takes features, not pixels; so a CNN or stored features must be given.
- There is no CLS token. Layers 0 to 5 are the refiner's, where regions look at regions: shown is
  how much each is looked at. The last layer is the decoder's, one map a word and their mean.
- Nothing is made into a square grid; regions are drawn as their boxes.
- `--head` chooses a head by itself, and `--layer` is a number, which may be negative.
- A device that is not there is an error, and files are read without running anything in them.
"""

import argparse
import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from regard.atomic import write_atomically
from regard.attention import indices
from regard.captions.attention import CaptionAttention, caption
from regard.captions.files import file_name
from regard.errors import CheckpointError, MediaError, RegardError, SelectionError
from regard.models.aoanet import (
    Captioner,
    Decoding,
    Features,
    StoredFeatures,
    load_captioner,
    load_cnn,
)
from regard.models.aoanet.features import Extract
from regard.models.aoanet.infos import Infos
from regard.models.aoanet.network import AoANet
from regard.models.aoanet.options import Options
from regard.models.aoanet.replay import DECODER
from regard.models.registry import require_device
from regard.render import Look, draw_heatmap, draw_overlay

LOOK = Look(cmap="jet", mixing="constant")
"""As the guide's pictures look."""

NO_FEATURES = (
    "an AoANet takes features, not pixels: give --cnn with the network that makes them, or "
    "--features (and --boxes) with what was extracted before"
)


def visualize_attention_on_image(
    model: Captioner | nn.Module,
    image_path: str | os.PathLike[str],
    device: str = "cpu",
    output_dir: str | os.PathLike[str] = "attn_vis",
    layer_idx: int | None = None,
    head_idx: int | None = None,
    avg_heads: bool = True,
    save_raw: bool = False,
    *,
    features: Features | StoredFeatures | Extract | None = None,
    decoding: Decoding | None = None,
) -> list[Path]:
    """Paths of the pictures that were written, as the guide names them.

    Args:
        model: What `load_captioner` gave, or the official `AoAModel` itself.
        image_path: A photo.
        device: Where the model runs.
        output_dir: Where to write; made if need be.
        layer_idx: 0 to 5 for the refiner, 6 or -1 for the decoder; None for all.
        head_idx: One head; None for the mean.
        avg_heads: False, with no `head_idx`, gives each head a picture.
        save_raw: Also `attn_raw_layer_I.npy`: (1, heads, queries, regions) float32; the
            decoder's queries are the words.
        features: What the model sees of the photo; see `regard.caption`.
        decoding: How the caption is chosen.

    Raises:
        SelectionError: No features, or no such layer or head.
        RegardError: As `regard.caption`.
    """
    if features is None:
        raise SelectionError(NO_FEATURES)
    require_device(device)
    captioner = model if isinstance(model, Captioner) else from_official(model)
    captioner.network.to(device)
    (found,) = caption(image_path, model=captioner, features=features, decoding=decoding, look=LOOK)
    layers = found.recording.layers
    chosen = indices(layer_idx, len(layers), "layer")
    heads: list[int | None] = [head_idx]
    if head_idx is None and not avg_heads:
        heads = list(range(found.replayed.weights.shape[1]))
    folder = Path(output_dir)
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"cannot make the folder {str(folder)!r}: {error.strerror}") from error
    for i in range(len(layers)) if chosen is None else chosen.tolist():
        for head in heads:
            suffix = "" if head is None or head == head_idx else f"_head_{head}"
            written += _draw(found, i, head, folder, suffix)
        if save_raw:
            written.append(_save_raw(found, i, folder / f"attn_raw_layer_{i}.npy"))
    return written


def from_official(model: nn.Module) -> Captioner:
    """The official `AoAModel` as our own: its options, words and weights.

    Raises:
        CheckpointError: It is another kind of model.
    """
    opt, vocabulary = getattr(model, "opt", None), getattr(model, "vocab", None)
    if opt is None or not isinstance(vocabulary, dict):
        raise CheckpointError(
            f"{type(model).__name__} has no opt and vocab: pass the official AoAModel, or what "
            "regard.load_captioner gives"
        )
    options = Options.from_opt(opt if isinstance(opt, dict) else vars(opt))
    network = AoANet(options)
    try:
        network.load_state_dict(model.state_dict())
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{type(model).__name__} is no AoANet: {reason}") from error
    words = {int(token): str(word) for token, word in vocabulary.items()}
    network.eval().requires_grad_(False)
    return Captioner(type(model).__name__, network, Infos(options, words))


def _draw(
    found: CaptionAttention, layer: int, head: int | None, folder: Path, suffix: str
) -> Iterator[Path]:
    path = found.recording.layers[layer]
    for name, weights in _maps(found, layer, head):
        heat = found.layout.to_pixels(weights)
        end = f"layer_{layer}_{path}{suffix}{name}.png"
        for start, picture in (
            ("attn_map", draw_overlay(found.photo, heat, look=LOOK)),
            ("heatmap", draw_heatmap(heat, look=LOOK)),
        ):
            picture.save(folder / f"{start}_{end}")
            yield folder / f"{start}_{end}"


def _maps(found: CaptionAttention, layer: int, head: int | None) -> Iterator[tuple[str, Tensor]]:
    """Names and weights of a layer's maps: the whole of it, and each word of the decoder."""
    weights = _weights(found, layer)[0]
    weights = weights.mean(0) if head is None else weights[int(_head(head, weights))]
    yield "", weights.mean(0)
    if found.recording.layers[layer] == DECODER:
        for number, (word, row) in enumerate(zip(found.words, weights, strict=True)):
            yield f"_{number:02d}_{file_name(word)}", row


def _head(head: int, weights: Tensor) -> int:
    chosen = indices(head, len(weights), "head")
    assert chosen is not None
    return int(chosen[0])


def _weights(found: CaptionAttention, layer: int) -> Tensor:
    """(1, heads, queries, regions) float32 on the CPU."""
    calls = found.recording.find(found.recording.layers[layer])
    return torch.cat([call.weights().float().cpu() for call in calls], 2)


def _save_raw(found: CaptionAttention, layer: int, path: Path) -> Path:
    file = io.BytesIO()
    np.save(file, _weights(found, layer).numpy(), allow_pickle=False)
    try:
        write_atomically(path, file.getvalue())
    except OSError as error:
        raise MediaError(f"cannot write {str(path)!r}: {error.strerror}") from error
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    given = _parser().parse_args(arguments)
    try:
        written = visualize_attention_on_image(
            load_captioner(given.model, given.infos_path, device=given.device),
            given.image,
            device=given.device,
            output_dir=given.output,
            layer_idx=given.layer,
            head_idx=given.head,
            avg_heads=not given.no_avg_heads,
            save_raw=given.save_raw,
            features=_features(given),
            decoding=Decoding(beam=given.beam),
        )
    except RegardError as error:
        print(f"visualize_attention: {error}", file=sys.stderr)
        return 1
    for path in written:
        print(path)
    return 0


def _features(given: argparse.Namespace) -> StoredFeatures | Extract:
    if given.cnn is not None:
        return load_cnn(given.cnn, device=given.device)
    if given.features is not None:
        return StoredFeatures(given.features, given.boxes)
    raise SelectionError(NO_FEATURES)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m regard.tools.visualize_attention",
        description="Draw the attention of an AoANet over a photo.",
    )
    parser.add_argument("--image", required=True, type=Path)
    parser.add_argument("--infos_path", required=True, type=Path)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--output", type=Path, default=Path("attn_vis"))
    parser.add_argument("--layer", type=int, help="0 to 5: the refiner; 6: the decoder")
    parser.add_argument("--head", type=int)
    parser.add_argument("--no-avg-heads", action="store_true", help="a picture for each head")
    parser.add_argument("--save-raw", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cnn", type=Path, help="weights of the CNN that makes the features")
    parser.add_argument("--features", type=Path, help="features that were extracted before")
    parser.add_argument("--boxes", type=Path, help="boxes of their regions")
    parser.add_argument("--beam", type=int, default=2)
    return parser


if __name__ == "__main__":
    sys.exit(main())
