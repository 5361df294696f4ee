"""A PartCrafter checkpoint with random weights, small enough for any test, whose parts exist."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from checkpoints import write_checkpoint
from regard.models.partcrafter.transformer import PartTransformer, TransformerConfig
from regard.models.partcrafter.vae import FieldDecoder, FieldDecoderConfig

TRANSFORMER: dict[str, Any] = {
    "num_attention_heads": 4,
    "width": 32,
    "in_channels": 8,
    "num_layers": 5,
    "cross_attention_dim": 16,
    "max_num_parts": 8,
    "global_attn_block_ids": [0, 2, 4],
}
DECODER: dict[str, Any] = {
    "latent_channels": 8,
    "num_attention_heads": 2,
    "width_decoder": 32,
    "num_layers_decoder": 2,
    "embed_frequency": 2,
}
STEM = "diffusion_pytorch_model.safetensors"


def write_partcrafter(folder: Path) -> Path:
    """The folder, filled."""
    torch.manual_seed(0)
    transformer = PartTransformer(TransformerConfig.from_json(TRANSFORMER))
    decoder = FieldDecoder(FieldDecoderConfig.from_json(DECODER))
    _centre(decoder)
    for name, config, network in (
        ("transformer", TRANSFORMER, transformer),
        ("vae", DECODER, decoder),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps(config))
        save_file(network.state_dict(), folder / name / STEM)
    write_checkpoint(folder / "image_encoder_dinov2", "dinov2")
    return folder


def _centre(decoder: FieldDecoder) -> None:
    """Shift the field so that its zero runs through the middle of space, for any latents."""
    with torch.no_grad():
        points = torch.rand(1, 500, 3) * 2 - 1
        values = decoder(torch.randn(1, 16, DECODER["latent_channels"]), points)
        decoder.decoder.proj_out.bias.add_(values.median())
