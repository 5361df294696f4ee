"""Diffusion models: UNets, transformers and autoencoders of diffusers."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import torch

from regard.zoo.entry import Entry, Made
from regard.zoo.entry import of_diffusers as df
from regard.zoo.inputs import ids, normal

HEADS = {"num_layers": 1, "num_attention_heads": 2, "attention_head_dim": 8}
TIME = torch.tensor([3])
TEXT_MASK = torch.tensor([[1, 1, 1, 1, 0]])
UNET: dict[str, Any] = {
    "sample_size": 16,
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "cross_attention_dim": 16,
    "attention_head_dim": 4,
}
CROSS_2D = {"down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D")}
CROSS_3D = {"down_block_types": ("CrossAttnDownBlock3D", "DownBlock3D"), "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D")}
SPATIO_TEMPORAL = {"down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"), "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal")}


def noisy(*shape: int, text: int = 16, **more: Any) -> Callable[[], dict[str, Any]]:
    """Noise, a time, and five words of a text."""
    return lambda: {
        "hidden_states": normal(*shape),
        "timestep": TIME,
        "encoder_hidden_states": normal(1, 5, text),
        **more,
    }


def unet(*shape: int, **more: Any) -> Callable[[], dict[str, Any]]:
    """The same, as UNets name it."""
    return lambda: {
        "sample": normal(*shape),
        "timestep": TIME,
        "encoder_hidden_states": normal(1, 5, 16),
        **more,
    }


def places(count: int, axes: int = 3) -> torch.Tensor:
    """Where tokens lie, (count, axes)."""
    return torch.arange(count)[:, None].repeat(1, axes).float()


def processed(entry: Entry, calls: str, name: str, processor: str, *args: int) -> Entry:
    """The entry with another attention processor."""

    def make() -> Made:
        model, inputs = entry.make()
        home = import_module("diffusers.models.attention_processor")
        model.set_attn_processor(getattr(home, processor)(*args))  # type: ignore[operator]
        return model, inputs

    return replace(entry, name=name, make=make, calls=calls)


UNET_2D = df("unet 2d condition", unet(1, 4, 16, 16), "8 sdpa", "UNet2DConditionModel", **UNET, **CROSS_2D)

ENTRIES: tuple[Entry, ...] = (
    UNET_2D,
    processed(UNET_2D, "8 softmax", "unet 2d condition, AttnProcessor", "AttnProcessor"),
    processed(UNET_2D, "16 softmax", "unet 2d condition, SlicedAttnProcessor", "SlicedAttnProcessor", 2),
    df("unet 3d condition", unet(1, 4, 2, 16, 16), "18 sdpa", "UNet3DConditionModel", **UNET, **CROSS_3D),
    df("unet spatio temporal", lambda: {"sample": normal(1, 2, 8, 16, 16), "timestep": TIME, "encoder_hidden_states": normal(1, 1, 16), "added_time_ids": normal(1, 3)}, "16 sdpa", "UNetSpatioTemporalConditionModel", sample_size=16, block_out_channels=(32, 64), num_attention_heads=(2, 4), layers_per_block=1, cross_attention_dim=16, projection_class_embeddings_input_dim=24, addition_time_embed_dim=8, **SPATIO_TEMPORAL),
    df("unet 2d", lambda: {"sample": normal(1, 3, 16, 16), "timestep": TIME}, "4 sdpa", "UNet2DModel", sample_size=16, block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8, attention_head_dim=4, down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D")),
    df("controlnet", unet(1, 4, 16, 16, controlnet_cond=normal(1, 3, 32, 32)), "4 sdpa", "ControlNetModel", block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8, cross_attention_dim=16, attention_head_dim=4, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), conditioning_embedding_out_channels=(8, 8)),
    df("autoencoder kl", lambda: {"sample": normal(1, 3, 32, 32)}, "2 sdpa", "AutoencoderKL", block_out_channels=(16, 32), norm_num_groups=8, down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2),
    df("vq model", lambda: {"sample": normal(1, 3, 32, 32)}, "2 sdpa", "VQModel", block_out_channels=(16, 32), norm_num_groups=8, num_vq_embeddings=8, down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2),
    df("sd3", noisy(1, 4, 16, 16, pooled_projections=normal(1, 16)), "2 sdpa", "SD3Transformer2DModel", **HEADS | {"num_layers": 2}, sample_size=16, in_channels=4, out_channels=4, joint_attention_dim=16, caption_projection_dim=16, pooled_projection_dim=16, pos_embed_max_size=16),
    df("sd3.5 dual attention", noisy(1, 4, 16, 16, pooled_projections=normal(1, 16)), "3 sdpa", "SD3Transformer2DModel", **HEADS | {"num_layers": 2}, sample_size=16, in_channels=4, out_channels=4, joint_attention_dim=16, caption_projection_dim=16, pooled_projection_dim=16, pos_embed_max_size=16, dual_attention_layers=(0,), qk_norm="rms_norm"),
    df("flux", noisy(1, 16, 8, pooled_projections=normal(1, 16), img_ids=places(16), txt_ids=places(5)), "2 sdpa", "FluxTransformer2DModel", **HEADS, in_channels=8, num_single_layers=1, joint_attention_dim=16, pooled_projection_dim=16, axes_dims_rope=(4, 2, 2)),
    df("flux2", noisy(1, 16, 8, img_ids=places(16, 4), txt_ids=places(5, 4), guidance=torch.tensor([1.0])), "2 sdpa", "Flux2Transformer2DModel", **HEADS, in_channels=8, num_single_layers=1, joint_attention_dim=16, timestep_guidance_channels=16, axes_dims_rope=(2, 2, 2, 2)),
    df("chroma", noisy(1, 16, 8, img_ids=places(16), txt_ids=places(5)), "2 sdpa", "ChromaTransformer2DModel", **HEADS, in_channels=8, num_single_layers=1, joint_attention_dim=16, axes_dims_rope=(4, 2, 2), approximator_num_channels=8, approximator_hidden_dim=16, approximator_layers=1),
    df("pixart", noisy(1, 4, 16, 16, added_cond_kwargs={"resolution": None, "aspect_ratio": None}), "2 sdpa", "PixArtTransformer2DModel", **HEADS, sample_size=16, cross_attention_dim=16, caption_channels=16, norm_num_groups=8),
    df("dit", lambda: {"hidden_states": normal(1, 4, 16, 16), "timestep": TIME, "class_labels": torch.tensor([1])}, "1 sdpa", "DiTTransformer2DModel", **HEADS, sample_size=16, norm_num_groups=8),
    df("wan", noisy(1, 4, 2, 8, 8), "2 sdpa", "WanTransformer3DModel", **HEADS | {"attention_head_dim": 12}, in_channels=4, out_channels=4, text_dim=16, freq_dim=16, ffn_dim=16),
    df("wan image to video", lambda: noisy(1, 4, 2, 8, 8)() | {"encoder_hidden_states": normal(1, 512, 16), "encoder_hidden_states_image": normal(1, 7, 16)}, "3 sdpa", "WanTransformer3DModel", **HEADS | {"attention_head_dim": 12}, in_channels=4, out_channels=4, text_dim=16, freq_dim=16, ffn_dim=16, image_dim=16, added_kv_proj_dim=24),
    df("cogvideox", noisy(1, 2, 4, 8, 8), "1 sdpa", "CogVideoXTransformer3DModel", **HEADS, in_channels=4, out_channels=4, time_embed_dim=16, text_embed_dim=16, sample_width=8, sample_height=8, sample_frames=5, max_text_seq_length=5),
    df("hunyuan video", noisy(1, 4, 2, 8, 8, encoder_attention_mask=TEXT_MASK, pooled_projections=normal(1, 16), guidance=torch.tensor([1.0])), "3 sdpa", "HunyuanVideoTransformer3DModel", **HEADS, in_channels=4, out_channels=4, num_single_layers=1, num_refiner_layers=1, text_embed_dim=16, pooled_projection_dim=16, rope_axes_dim=(4, 2, 2)),
    df("hunyuan dit", lambda: {"hidden_states": normal(1, 4, 16, 16), "timestep": TIME.float(), "encoder_hidden_states": normal(1, 5, 16), "text_embedding_mask": TEXT_MASK, "encoder_hidden_states_t5": normal(1, 5, 16), "text_embedding_mask_t5": TEXT_MASK, "image_meta_size": normal(1, 6), "style": torch.tensor([0]), "image_rotary_emb": [normal(64, 8), normal(64, 8)]}, "5 sdpa", "HunyuanDiT2DModel", **HEADS | {"num_layers": 2}, in_channels=4, patch_size=2, sample_size=16, hidden_size=16, cross_attention_dim=16, cross_attention_dim_t5=16, pooled_projection_dim=16, text_len=5, text_len_t5=5, activation_fn="gelu-approximate"),
    df("ltx", noisy(1, 32, 4, encoder_attention_mask=TEXT_MASK, num_frames=2, height=4, width=4), "2 sdpa", "LTXVideoTransformer3DModel", **HEADS, in_channels=4, out_channels=4, cross_attention_dim=16, caption_channels=16),
    df("auraflow", noisy(1, 4, 16, 16), "2 sdpa", "AuraFlowTransformer2DModel", num_mmdit_layers=1, num_single_dit_layers=1, num_attention_heads=2, attention_head_dim=8, sample_size=16, joint_attention_dim=16, caption_projection_dim=16, pos_embed_max_size=64),
    df("qwen image", noisy(1, 16, 8, encoder_hidden_states_mask=torch.ones(1, 5, dtype=torch.long), img_shapes=[(1, 4, 4)]), "1 sdpa", "QwenImageTransformer2DModel", **HEADS, in_channels=8, out_channels=2, joint_attention_dim=16, axes_dims_rope=(4, 2, 2)),
    df("z image", lambda: {"x": [normal(4, 1, 8, 8)], "t": torch.tensor([0.5]), "cap_feats": [normal(5, 16)]}, "3 sdpa", "ZImageTransformer2DModel", in_channels=4, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=16, axes_dims=[4, 6, 6], axes_lens=[64, 64, 64]),
    df("lumina2", noisy(1, 4, 16, 16, encoder_attention_mask=TEXT_MASK.bool()), "4 sdpa", "Lumina2Transformer2DModel", sample_size=16, in_channels=4, hidden_size=24, num_layers=2, num_refiner_layers=1, num_attention_heads=2, num_kv_heads=1, multiple_of=8, axes_dim_rope=(4, 4, 4), axes_lens=(64, 64, 64), cap_feat_dim=16),
    df("stable audio", noisy(1, 8, 16, global_hidden_states=normal(1, 1, 16)), "2 sdpa", "StableAudioDiTModel", sample_size=16, in_channels=8, out_channels=8, num_layers=1, attention_head_dim=8, num_attention_heads=2, num_key_value_attention_heads=1, cross_attention_dim=8, time_proj_dim=8, global_states_input_dim=16, cross_attention_input_dim=16),
    df("sana", noisy(1, 4, 8, 8), "1 sdpa", "SanaTransformer2DModel", in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2, attention_head_dim=8, num_cross_attention_heads=2, cross_attention_head_dim=8, cross_attention_dim=16, caption_channels=16, sample_size=8, unrecorded=(("attn1", "linear"),), because="self-attention is linear and has no weights"),
    df("mochi", noisy(1, 4, 2, 8, 8, encoder_attention_mask=TEXT_MASK.bool()), "2 sdpa", "MochiTransformer3DModel", **HEADS, in_channels=4, pooled_projection_dim=16, text_embed_dim=16, time_embed_dim=8, max_sequence_length=5),
    df("cogview4", noisy(1, 4, 16, 16, original_size=normal(1, 2), target_size=normal(1, 2), crop_coords=normal(1, 2)), "1 sdpa", "CogView4Transformer2DModel", **HEADS, in_channels=4, out_channels=4, text_embed_dim=16, time_embed_dim=8, condition_dim=4, pos_embed_max_size=16, sample_size=16, rope_axes_dim=(8, 8)),
    df("latte", lambda: {"hidden_states": normal(1, 4, 2, 16, 16), "timestep": TIME, "encoder_hidden_states": normal(1, 5, 16)}, "3 sdpa", "LatteTransformer3DModel", **HEADS, in_channels=4, out_channels=8, sample_size=16, patch_size=2, cross_attention_dim=16, caption_channels=16, norm_type="ada_norm_single", num_embeds_ada_norm=1000, activation_fn="gelu-approximate", norm_elementwise_affine=False, video_length=2, attention_bias=True),
    df("allegro", noisy(1, 4, 2, 8, 8, text=16, encoder_attention_mask=TEXT_MASK, attention_mask=torch.ones(1, 2, 8, 8), image_rotary_emb=None), "2 sdpa", "AllegroTransformer3DModel", **HEADS | {"attention_head_dim": 12}, sample_height=8, sample_width=8, sample_frames=2, cross_attention_dim=24, caption_channels=16),
    df("prior", lambda: {"hidden_states": normal(1, 16), "timestep": TIME, "proj_embedding": normal(1, 16), "encoder_hidden_states": normal(1, 5, 16)}, "1 sdpa", "PriorTransformer", **HEADS, embedding_dim=16, num_embeddings=5, additional_embeddings=4),
    df("uvit", lambda: {"input_ids": ids(16).reshape(1, 4, 4), "encoder_hidden_states": normal(1, 5, 16), "pooled_text_emb": normal(1, 16), "micro_conds": normal(1, 5)}, "6 sdpa", "UVit2DModel", hidden_size=16, cond_embed_dim=16, encoder_hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=32, codebook_size=24, sample_size=4, block_out_channels=16, block_num_heads=2, in_channels=16, intermediate_size=16, num_res_blocks=1, micro_cond_encode_dim=8, micro_cond_embed_dim=40),
)
