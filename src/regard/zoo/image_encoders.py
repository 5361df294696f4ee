"""Image encoders of transformers, plain and hierarchical."""

from typing import Any

from regard.zoo.entry import Entry
from regard.zoo.entry import of_transformers as hf
from regard.zoo.inputs import ids, normals, pixels
from regard.zoo.sizes import PYRAMID, SWIN, VIT

PATCHES = normals(pixel_values=(1, 16, 768))


def _naflex() -> dict[str, Any]:
    import torch

    return {
        **PATCHES(),
        "pixel_attention_mask": torch.tensor([[1] * 12 + [0] * 4]),
        "spatial_shapes": torch.tensor([[3, 4]]),
    }


def _phi4() -> dict[str, Any]:
    import torch

    mask = torch.ones(1, 4, 4, dtype=torch.bool)
    mask[:, 3] = False
    return {**pixels()(), "patch_attention_mask": mask}


ENTRIES: tuple[Entry, ...] = (
    hf("vit", pixels(), "2 sdpa", "ViTModel", **VIT),
    hf("vit eager", pixels(), "2 softmax", "ViTModel", **VIT, attn_implementation="eager"),
    hf("deit", pixels(), "2 sdpa", "DeiTModel", **VIT),
    hf("beit", pixels(), "2 sdpa", "BeitModel", **VIT, use_relative_position_bias=True),
    hf(
        "data2vec_vision",
        pixels(),
        "2 sdpa",
        "Data2VecVisionModel",
        **VIT,
        use_relative_position_bias=True,
    ),
    hf("dinov2", pixels(), "2 sdpa", "Dinov2Model", **VIT),
    hf("dinov2_with_registers", pixels(), "2 sdpa", "Dinov2WithRegistersModel", **VIT),
    hf("dinov3_vit", pixels(), "2 sdpa", "DINOv3ViTModel", **VIT),
    hf("ijepa", pixels(), "2 sdpa", "IJepaModel", **VIT),
    hf("vit_mae", pixels(), "2 sdpa", "ViTMAEModel", **VIT),
    hf("vit_msn", pixels(), "2 sdpa", "ViTMSNModel", **VIT),
    hf(
        "vitdet",
        pixels(),
        "2 softmax",
        "VitDetModel",
        **VIT,
        window_block_indices=[0],
        window_size=3,
        use_relative_position_embeddings=True,
        pretrain_image_size=64,
    ),
    hf("mlcd", pixels(), "2 sdpa", "MLCDVisionModel", **VIT),
    hf("pixio", pixels(), "2 sdpa", "PixioModel", **VIT),
    hf("aimv2_vision", pixels(), "3 sdpa", "Aimv2VisionModel", **VIT),
    hf("radio", pixels(), "2 sdpa", "RadioModel", **VIT),
    hf("tipsv2_vision", pixels(), "2 sdpa", "Tipsv2VisionModel", **VIT),
    hf("janus_vision", pixels(), "2 sdpa", "JanusVisionModel", **VIT),
    hf("phi4_multimodal_vision", _phi4, "2 sdpa, 1 softmax", "Phi4MultimodalVisionModel", **VIT),
    hf(
        "siglip2_vision_naflex",
        _naflex,
        "2 sdpa, 1 softmax",
        "Siglip2VisionModel",
        **VIT,
        num_patches=16,
    ),
    hf("pixtral_vision", pixels(), "2 sdpa", "PixtralVisionModel", **VIT),
    hf("swin", pixels(), "4 sdpa", "SwinModel", **SWIN),
    hf("swinv2", pixels(), "4 softmax", "Swinv2Model", **SWIN),
    hf(
        "swin2sr",
        pixels(),
        "4 softmax",
        "Swin2SRModel",
        **{**SWIN, "patch_size": 1, "image_size": 16},
    ),
    hf("donut_swin", pixels(), "4 softmax", "DonutSwinModel", **SWIN),
    hf("maskformer_swin", pixels(), "4 softmax", "MaskFormerSwinModel", **SWIN),
    hf("pvt", pixels(), "4 softmax", "PvtModel", **PYRAMID, image_size=64),
    hf("pvt_v2", pixels(), "4 softmax", "PvtV2Model", **PYRAMID),
    hf("pvt_v2_linear", pixels(), "4 softmax", "PvtV2Model", **PYRAMID, linear_attention=True),
    hf("segformer", pixels(), "4 sdpa", "SegformerModel", **PYRAMID),
    hf("glpn", pixels(), "4 softmax", "GLPNModel", **PYRAMID),
    hf(
        "cvt",
        pixels(),
        "6 softmax",
        "CvtModel",
        embed_dim=[8, 16, 32],
        num_heads=[1, 2, 4],
        depth=[1, 2, 3],
    ),
    hf(
        "levit",
        pixels(),
        "5 softmax",
        "LevitModel",
        image_size=64,
        hidden_sizes=[16, 24, 32],
        num_attention_heads=[2, 3, 4],
        depths=[1, 1, 1],
        key_dim=[8, 8, 8],
    ),
    hf(
        "mobilevit",
        pixels(),
        "9 softmax",
        "MobileViTModel",
        image_size=64,
        hidden_sizes=[16, 16, 24],
        neck_hidden_sizes=[8, 8, 16, 16, 24, 24, 32],
        num_attention_heads=4,
    ),
    hf(
        "mobilevitv2",
        pixels(),
        "9 explicit",
        "MobileViTV2Model",
        image_size=64,
        width_multiplier=0.25,
        because="one weight a pixel, multiplied and summed",
    ),
    hf(
        "hiera",
        pixels(),
        "4 softmax",
        "HieraModel",
        image_size=[64, 64],
        embed_dim=16,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 2, 4],
    ),
    hf(
        "swiftformer",
        pixels(),
        "",
        "SwiftFormerModel",
        depths=[1, 1, 1, 1],
        embed_dims=[8, 16, 16, 32],
        unrecorded=(("attn", "every weight is 1"),) * 4,
        softmaxes=4,
        because="its softmax is taken over an axis of one entry",
    ),
    hf(
        "imagegpt",
        lambda: {"input_ids": ids(16)},
        "2 softmax",
        "ImageGPTModel",
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=32,
        vocab_size=64,
    ),
    hf(
        "perceiver",
        normals(inputs=(1, 20, 24)),
        "3 softmax",
        "PerceiverModel",
        num_latents=6,
        d_latents=16,
        d_model=24,
        num_blocks=1,
        num_self_attends_per_block=2,
        num_self_attention_heads=2,
        num_cross_attention_heads=2,
    ),
    hf(
        "poolformer",
        pixels(),
        "",
        "PoolFormerModel",
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 16, 16, 32],
    ),
    hf(
        "focalnet",
        pixels(),
        "",
        "FocalNetModel",
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        unrecorded=(("modulation", "no attention weights exist"),) * 4,
    ),
    hf(
        "convnext", pixels(), "", "ConvNextModel", depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 16, 32]
    ),
)
