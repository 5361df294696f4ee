"""Tiny random diffusers pipelines, whole: tokenizer, text encoder, denoiser, decoder."""

from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

LENGTH = 12


def tokenizer(length: int = LENGTH) -> Any:
    """Words are tokens, but "unicycle" is two; a start and an end token, padded to `length`."""
    vocabulary = ["<pad>", "<s>", "</s>", "a", "red", "cat", ",", "uni", "##cycle", "[UNK]"]
    model = models.WordPiece({w: i for i, w in enumerate(vocabulary)}, unk_token="[UNK]")
    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="[UNK]",
        model_max_length=length,
    )


def autoencoder(**changes: Any) -> Any:
    return diffusers.AutoencoderKL(
        **changes,
        block_out_channels=(8, 8),
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
    )


def stable_diffusion() -> Any:
    """A UNet with cross-attention at two sizes."""
    torch.manual_seed(0)
    text = transformers.CLIPTextConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        vocab_size=10,
        max_position_embeddings=LENGTH,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=transformers.CLIPTextModel(text),
        tokenizer=tokenizer(),
        unet=unet,
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def flux() -> Any:
    """Text and image in one sequence, text first."""
    torch.manual_seed(0)
    t5 = _t5()
    clip = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            vocab_size=10,
            max_position_embeddings=LENGTH,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
    )
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        axes_dims_rope=(2, 2, 4),
    )
    pipeline = diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(shift_factor=0.0),
        text_encoder=clip,
        tokenizer=tokenizer(),
        text_encoder_2=t5,
        tokenizer_2=tokenizer(),
        transformer=transformer,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _t5() -> Any:
    config = transformers.T5Config(
        d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, vocab_size=10
    )
    return transformers.T5EncoderModel(config).eval()


def stable_diffusion_3() -> Any:
    """Text and image in one sequence, image first; the text is 77 tokens of CLIP, then T5's."""
    torch.manual_seed(0)
    clip = transformers.CLIPTextConfig(
        hidden_size=8,
        intermediate_size=8,
        projection_dim=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        vocab_size=10,
        max_position_embeddings=77,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        caption_projection_dim=16,
        joint_attention_dim=16,
        pooled_projection_dim=16,
    )
    pipeline = diffusers.StableDiffusion3Pipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(shift_factor=0.0),
        text_encoder=transformers.CLIPTextModelWithProjection(clip),
        tokenizer=tokenizer(77),
        text_encoder_2=transformers.CLIPTextModelWithProjection(clip),
        tokenizer_2=tokenizer(77),
        text_encoder_3=_t5(),
        tokenizer_3=tokenizer(),
        transformer=transformer,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def pixart() -> Any:
    """A transformer whose image attends to the text by cross-attention, with T5 alone."""
    torch.manual_seed(0)
    pipeline = diffusers.PixArtAlphaPipeline(
        tokenizer=tokenizer(),
        text_encoder=_t5(),
        vae=autoencoder(),
        transformer=diffusers.PixArtTransformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            out_channels=8,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            cross_attention_dim=16,
            caption_channels=16,
            use_additional_conditions=False,
        ),
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def write_pipelines(folder: Path) -> None:
    """Both, as save_pretrained writes them: `stable-diffusion` and `flux`."""
    stable_diffusion().save_pretrained(folder / "stable-diffusion")
    flux().save_pretrained(folder / "flux")
