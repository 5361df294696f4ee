"""Stage one: the segmenter begins as that of ``mini-mask2former``, under upstream's names.

Upstream begins with a Mask2Former that was trained on photos of COCO; ours was trained on generated
scenes by `training.mini_mask2former`. It knows backgrounds too, and does not mind two queries on
one object, as a panoptic map shows only one of them. So its predictor learns on clips; backbone
and pixel decoder stay as they are.
"""

import re
from collections.abc import Sequence

import torch
from safetensors.torch import load_file
from torch import Tensor

from regard.datasets.shapes import KINDS
from regard.miniatures import miniature_folder
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.predictor import Predictor
from training.video_losses import Objects, loss, match

SOURCE = "mini-mask2former"

_PIXELS = r"model\.pixel_level_module\."
_ENCODER, _DECODER = rf"^{_PIXELS}encoder\.", rf"^{_PIXELS}decoder\."
_QUERIES = r"^model\.transformer_module\."
_LAYER = rf"{_QUERIES}decoder\.layers\.(\d+)\."
_PREDICTOR = "sem_seg_head.predictor."
_PIXEL_DECODER = "sem_seg_head.pixel_decoder."

_RENAMED = (
    (r"\.convolution\.", "."),
    (r"\.normalization\.", ".norm."),
    (rf"{_ENCODER}embedder\.embedder\.", "backbone.stem.conv1."),
    (r"\.layer\.0\.", ".conv1."),
    (r"\.layer\.1\.", ".conv2."),
    (rf"{_DECODER}encoder\.layers", f"{_PIXEL_DECODER}transformer.encoder.layers"),
    (r"\.self_attn_layer_norm\.", ".norm1."),
    (rf"{_DECODER}level_embed", f"{_PIXEL_DECODER}transformer.level_embed"),
    (rf"{_DECODER}input_projections", f"{_PIXEL_DECODER}input_proj"),
    (rf"{_DECODER}(adapter_1|layer_1)\.0", rf"{_PIXEL_DECODER}\1"),
    (rf"{_DECODER}(adapter_1|layer_1)\.1", rf"{_PIXEL_DECODER}\1.norm"),
    (rf"{_DECODER}mask_projection", f"{_PIXEL_DECODER}mask_features"),
    (
        rf"{_LAYER}cross_attn\.",
        rf"{_PREDICTOR}transformer_cross_attention_layers.\1.multihead_attn.",
    ),
    (rf"{_LAYER}cross_attn_layer_norm", rf"{_PREDICTOR}transformer_cross_attention_layers.\1.norm"),
    (rf"{_LAYER}self_attn\.", rf"{_PREDICTOR}transformer_self_attention_layers.\1.self_attn."),
    (rf"{_LAYER}norm1", rf"{_PREDICTOR}transformer_self_attention_layers.\1.norm"),
    (rf"{_LAYER}final_layer_norm", rf"{_PREDICTOR}transformer_ffn_layers.\1.norm"),
    (rf"{_LAYER}fc", rf"{_PREDICTOR}transformer_ffn_layers.\1.linear"),
    (rf"{_QUERIES}decoder\.layernorm", f"{_PREDICTOR}decoder_norm"),
    (
        rf"{_QUERIES}decoder\.mask_predictor\.mask_embedder\.(\d)\.0",
        rf"{_PREDICTOR}mask_embed.layers.\1",
    ),
    (rf"{_QUERIES}level_embed", f"{_PREDICTOR}level_embed"),
    (rf"{_QUERIES}queries_embedder", f"{_PREDICTOR}query_embed"),
    (rf"{_QUERIES}queries_features", f"{_PREDICTOR}query_feat"),
    (r"^class_predictor", f"{_PREDICTOR}class_embed"),
    (r"\.fc(\d)\.", r".linear\1."),
    (r"\.final_layer_norm\.", ".norm2."),
)
"""Names of transformers, one part after the other -> names of upstream."""
_STAGE = re.compile(rf"{_ENCODER}encoder\.stages\.(\d)\.layers\.")


def take_segmenter(network: DvisDaq) -> None:
    """Give a network the segmenter of ``mini-mask2former``, with classes of objects alone."""
    stored = load_file(miniature_folder(SOURCE) / "model.safetensors")
    state = {_name(name): tensor.float() for name, tensor in _joined(stored).items()}
    kept = [*range(len(KINDS)), -1]
    for name in ("weight", "bias"):
        key = f"{_PREDICTOR}class_embed.{name}"
        state[key] = state[key][kept]
    missing, unknown = network.load_state_dict(state, strict=False)
    untold = [name for name in missing if name.startswith(("backbone.", "sem_seg_head."))]
    assert not [*untold, *unknown], "the sizes of both segmenters are alike"


def _joined(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Self-attention with its three maps in one tensor, as upstream keeps them."""
    joined = dict(stored)
    for name in stored:
        if name.startswith("model.transformer_module") and ".q_proj." in name:
            parts = [joined.pop(name.replace("q_proj", f"{part}_proj")) for part in "qkv"]
            joined[name.replace("q_proj.", "in_proj_")] = torch.cat(parts)
    return joined


def _name(name: str) -> str:
    """Upstream's name of a tensor."""
    name = _STAGE.sub(lambda found: f"backbone.res{int(found[1]) + 2}.", name)
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def predictor_loss(
    predictor: Predictor, levels: Sequence[Tensor], features: Tensor, there: Objects
) -> Tensor:
    """Loss of a batch of frames: that of Mask2Former, before the first layer and after each.

    Args:
        predictor: What learns.
        levels: Of the pixel decoder.
        features: Mask features.
        there: What is in the frames, in cells of the mask features.
    """
    losses = [
        loss(said.logits, said.masks, there, match(said.logits, said.masks, there))
        for said in predictor.layer_by_layer(levels, features)
    ]
    return torch.stack(losses).mean()
