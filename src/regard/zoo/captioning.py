"""Models of transformers that caption and read images."""

import torch

from regard.zoo.entry import Entry
from regard.zoo.entry import of_transformers as hf
from regard.zoo.inputs import IMAGE_TOKEN, ids, image, looking, normal, pixels_and_text, written
from regard.zoo.sizes import SWIN, TEXT, VIT

QFORMER = {**TEXT, "encoder_hidden_size": 32, "cross_attention_frequency": 1}
OPT = {
    "model_type": "opt",
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "ffn_dim": 32,
    "max_position_embeddings": 64,
    "word_embed_proj_dim": 32,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
MBART = {
    "vocab_size": 50,
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
T5 = {"vocab_size": 50, "hidden_size": 32, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 4}

ENTRIES: tuple[Entry, ...] = (
    hf(
        "blip",
        pixels_and_text(),
        "6 softmax",
        "BlipForConditionalGeneration",
        text_config=TEXT | {"encoder_hidden_size": 32, "projection_dim": 16},
        vision_config=VIT,
        projection_dim=16,
        image_text_hidden_size=32,
    ),
    hf(
        "blip_2",
        looking(4),
        "8 sdpa",
        "Blip2ForConditionalGeneration",
        vision_config=VIT,
        qformer_config=QFORMER,
        text_config=OPT,
        num_query_tokens=4,
        image_token_index=IMAGE_TOKEN,
    ),
    hf(
        "instructblip",
        looking(4, qformer_input_ids=ids()),
        "8 sdpa",
        "InstructBlipForConditionalGeneration",
        vision_config=VIT,
        qformer_config=QFORMER,
        text_config=OPT,
        num_query_tokens=4,
        image_token_index=IMAGE_TOKEN,
    ),
    hf(
        "instructblipvideo",
        lambda: looking(8, qformer_input_ids=ids())() | {"pixel_values": normal(1, 2, 3, 64, 64)},
        "8 sdpa",
        "InstructBlipVideoForConditionalGeneration",
        vision_config=VIT,
        qformer_config=QFORMER,
        text_config=OPT,
        num_query_tokens=4,
        video_token_index=IMAGE_TOKEN,
    ),
    hf(
        "vision_encoder_decoder",
        written(),
        "6 sdpa",
        "VisionEncoderDecoderModel",
        encoder={"model_type": "vit", **VIT},
        decoder={"model_type": "bert", **TEXT, "is_decoder": True, "add_cross_attention": True},
    ),
    hf(
        "trocr",
        written(),
        "2 sdpa, 4 softmax",
        "VisionEncoderDecoderModel",
        encoder={"model_type": "vit", **VIT},
        decoder={
            "model_type": "trocr",
            **{k: v for k, v in MBART.items() if "encoder" not in k},
            "cross_attention_hidden_size": 32,
        },
    ),
    hf(
        "donut",
        written(),
        "4 sdpa, 4 softmax",
        "VisionEncoderDecoderModel",
        encoder={"model_type": "donut-swin", **SWIN},
        decoder={
            "model_type": "mbart",
            **MBART,
            "encoder_layers": 2,
            "is_decoder": True,
            "add_cross_attention": True,
        },
    ),
    hf(
        "nougat_mbart_swin",
        written(),
        "8 sdpa",
        "VisionEncoderDecoderModel",
        encoder={"model_type": "swin", **SWIN},
        decoder={
            "model_type": "mbart",
            **MBART,
            "encoder_layers": 2,
            "is_decoder": True,
            "add_cross_attention": True,
        },
    ),
    hf("git", pixels_and_text(), "4 softmax", "GitModel", **TEXT, vision_config=VIT),
    hf(
        "pix2struct",
        lambda: {
            "flattened_patches": normal(1, 9, 770).abs().clamp(max=8),
            "decoder_input_ids": ids(),
        },
        "6 sdpa",
        "Pix2StructForConditionalGeneration",
        text_config={**T5, "num_layers": 2},
        vision_config={
            **{
                k: v
                for k, v in VIT.items()
                if k not in ("image_size", "patch_size", "intermediate_size")
            },
            "d_kv": 8,
            "d_ff": 32,
            "seq_len": 16,
            "patch_embed_hidden_size": 768,
        },
    ),
    hf(
        "udop",
        lambda: {
            "input_ids": ids(),
            "bbox": torch.rand(1, 6, 4, generator=torch.Generator().manual_seed(0)).sort().values,
            "pixel_values": image(),
            "decoder_input_ids": ids(),
        },
        "6 sdpa",
        "UdopForConditionalGeneration",
        **{**{k: v for k, v in T5.items() if k != "hidden_size"}, "d_model": 32},
        image_size=64,
        patch_size=16,
    ),
    hf(
        "kosmos2",
        lambda: (
            looking(4)()
            | {"image_embeds_position_mask": (looking(4)()["input_ids"] == IMAGE_TOKEN).long()}
        ),
        "5 sdpa",
        "Kosmos2Model",
        text_config={
            "vocab_size": 50,
            "embed_dim": 32,
            "layers": 2,
            "ffn_dim": 32,
            "attention_heads": 4,
            "max_position_embeddings": 64,
        },
        vision_config=VIT,
        latent_query_num=4,
    ),
    hf(
        "florence2",
        looking(5, decoder_input_ids=ids()),
        "11 sdpa",
        "Florence2ForConditionalGeneration",
        text_config={"model_type": "bart", **MBART, "decoder_layers": 1},
        vision_config={
            "depths": [1, 1, 1, 1],
            "embed_dim": [8, 16, 16, 32],
            "num_heads": [1, 2, 2, 4],
            "num_groups": [1, 2, 2, 4],
            "window_size": 2,
            "projection_dim": 32,
        },
        image_token_id=IMAGE_TOKEN,
    ),
)
