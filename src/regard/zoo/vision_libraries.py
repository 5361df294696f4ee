"""Models of timm and torchvision."""

from importlib import import_module
from typing import Any

from regard.zoo.entry import ABOUT, Entry, Made
from regard.zoo.inputs import normal

PLAIN: dict[str, Any] = {"depth": 2, "embed_dim": 32, "num_heads": 4, "img_size": 64}
STAGES: dict[str, Any] = {"depths": (1, 1, 1, 1)}


def timm(name: str, calls: str, /, side: int = 64, **values: Any) -> Entry:
    """The model NAME of timm, on an image of so many pixels."""
    about = {k: values.pop(k) for k in ABOUT if k in values}

    def make() -> Made:
        model = import_module("timm").create_model(name, num_classes=5, **values)
        return model, (normal(1, 3, side, side),)

    return Entry(f"timm {name}", "timm", make, calls, **about)


def torchvision(name: str, calls: str, *size: int, **values: Any) -> Entry:
    """The model NAME of torchvision, on an input of this size."""
    about = {k: values.pop(k) for k in ABOUT if k in values}

    def make() -> Made:
        model = import_module("torchvision.models").get_model(name, weights=None, **values)
        return model, (normal(1, 3, *size),)

    return Entry(f"torchvision {name}", "torchvision", make, calls, **about)


ENTRIES: tuple[Entry, ...] = (
    timm("vit_tiny_patch16_224", "2 sdpa", **PLAIN),
    timm("vit_small_patch16_dinov3", "2 sdpa", **PLAIN),
    timm("vit_small_patch14_reg4_dinov2", "2 sdpa", **PLAIN | {"img_size": 56}, side=56),
    timm("vit_base_patch16_siglip_224", "3 sdpa", **PLAIN),
    timm("vit_base_patch16_clip_224", "2 sdpa", **PLAIN),
    timm("vit_base_patch16_rope_224", "2 sdpa", **PLAIN),
    timm("vit_relpos_small_patch16_224", "2 sdpa", **PLAIN),
    timm("deit_tiny_patch16_224", "2 sdpa", **PLAIN),
    timm("deit_tiny_distilled_patch16_224", "2 sdpa", **PLAIN),
    timm("deit3_small_patch16_224", "2 sdpa", **PLAIN),
    timm("beit_base_patch16_224", "2 sdpa", **PLAIN),
    timm("beitv2_base_patch16_224", "2 sdpa", **PLAIN),
    timm("eva02_tiny_patch14_224", "2 sdpa", **PLAIN | {"img_size": 56}, side=56),
    timm("samvit_base_patch16", "2 sdpa", **PLAIN, global_attn_indexes=(1,), window_size=3),
    timm("naflexvit_base_patch16_gap", "2 sdpa", depth=2, embed_dim=32, num_heads=4),
    timm("vit_base_mci_224", "2 sdpa", 64, depth=2, img_size=64),
    timm("cait_xxs24_224", "2 sdpa, 2 softmax", **PLAIN),
    timm(
        "convit_tiny",
        "1 softmax, 1 explicit",
        **PLAIN,
        local_up_to_layer=1,
        softmaxes=3,
        because="two softmaxes are mixed",
    ),
    timm(
        "coat_lite_tiny",
        "4 explicit",
        img_size=64,
        embed_dims=(16, 16, 16, 16),
        serial_depths=(1, 1, 1, 1),
    ),
    timm(
        "coat_tiny",
        "7 explicit",
        img_size=64,
        embed_dims=(16, 16, 16, 16),
        serial_depths=(1, 1, 1, 1),
        parallel_depth=1,
    ),
    timm("coatnet_nano_rw_224", "9 sdpa", 64, img_size=64),
    timm("maxvit_nano_rw_256", "14 sdpa", 64, img_size=64),
    timm("crossvit_9_240", "12 sdpa, 6 softmax", 240),
    timm("csatv2", "4 sdpa, 14 softmax", 512),
    timm(
        "davit_tiny",
        "4 sdpa, 4 softmax",
        depths=(1, 1, 1, 1),
        embed_dims=(16, 16, 32, 32),
        num_heads=(1, 2, 2, 4),
    ),
    timm("edgenext_xx_small", "3 softmax", 64),
    timm("efficientformer_l1", "1 softmax", 224),
    timm("efficientformerv2_s0", "5 softmax", 224),
    timm("efficientvit_m0", "24 softmax", 64, img_size=64),
    timm(
        "efficientvit_b0",
        "",
        64,
        unrecorded=(("main", "linear"),) * 4,
        because="linear attention has no weights",
    ),
    timm("fastvit_sa12", "2 sdpa", 64),
    timm("gcvit_xxtiny", "12 softmax", 64, img_size=64),
    timm("hiera_tiny_224", "4 sdpa", 224, embed_dim=16, num_heads=1, stages=(1, 1, 1, 1)),
    timm(
        "sam2_hiera_tiny", "5 sdpa", 64, embed_dim=32, stages=(1, 1, 2, 1), global_att_blocks=(3,)
    ),
    timm("levit_128s", "11 softmax", 64, img_size=64),
    timm("mobilevit_xxs", "9 sdpa", 64),
    timm(
        "mobilevitv2_050",
        "9 explicit",
        64,
        because="one weight a pixel, multiplied and summed",
    ),
    timm("mobilenetv4_hybrid_medium", "8 sdpa", 64),
    timm("mvitv2_tiny", "10 explicit", 64, img_size=64),
    timm("nest_tiny", "12 sdpa", 64, img_size=64),
    timm(
        "nextvit_small",
        "4 sdpa",
        64,
        unrecorded=(("mhca", "no softmax(q·k)·v"),) * 20,
        because="convolutions called attention have no weights",
    ),
    timm("pit_ti_224", "12 sdpa", 64, img_size=64),
    timm("pvt_v2_b0", "8 sdpa", 64),
    timm("shvit_s1", "9 softmax", 64),
    timm(
        "swin_tiny_patch4_window7_224",
        "4 softmax",
        64,
        img_size=64,
        embed_dim=16,
        depths=(2, 2),
        num_heads=(2, 4),
        window_size=4,
    ),
    timm(
        "swinv2_tiny_window8_256",
        "4 softmax",
        64,
        img_size=64,
        embed_dim=16,
        depths=(2, 2),
        num_heads=(2, 4),
        window_size=4,
    ),
    timm(
        "swinv2_cr_tiny_224",
        "4 softmax",
        64,
        img_size=64,
        embed_dim=16,
        depths=(2, 2),
        num_heads=(2, 4),
        window_size=4,
    ),
    timm("tiny_vit_5m_224", "10 sdpa", 64),
    timm("tnt_s_patch16_224", "4 softmax", 64, img_size=64, depth=2),
    timm("twins_pcpvt_small", "4 sdpa", 64, img_size=64, depths=(1, 1, 1, 1)),
    timm("twins_svt_small", "4 sdpa", 64, img_size=64, depths=(1, 1, 1, 1)),
    timm("visformer_tiny", "8 softmax", 64, img_size=64),
    timm("vitamin_small_224", "14 sdpa", 64, img_size=64),
    timm("volo_d1_224", "14 sdpa, 2 softmax, 4 explicit", 64, img_size=64),
    timm("xcit_nano_12_p16_224", "2 sdpa, 2 softmax", 64, img_size=64, depth=2),
    timm("caformer_s18", "12 sdpa", 64),
    timm(
        "swiftformer_xs",
        "",
        64,
        unrecorded=(("attn", "additive attention without a softmax"),) * 4,
        because="weights are normalised without a softmax, multiplied and summed",
    ),
    timm("iformer_s", "5 sdpa", 64),
    timm("lowformer_b0", "7 sdpa", 64),
    timm("qwen3_vit_88m", "2 sdpa", 64, depth=2, embed_dim=32, num_heads=4),
    timm("gemma4_vit_167m", "2 sdpa", 64, depth=2, embed_dim=32, num_heads=4),
    timm("botnet26t_256", "3 softmax", 256),
    timm("halonet26t", "3 softmax", 256),
    timm("sebotnet33ts_256", "4 softmax", 256),
    timm("lambda_resnet26t", "3 explicit", 128),
    timm("resnet50_clip", "1 sdpa", 64, img_size=64),
    timm(
        "resnest14d",
        "",
        64,
        unrecorded=(("conv2", "a gate"),) * 4,
        softmaxes=4,
        because="channels of branches are weighed, not tokens",
    ),
    timm("poolformer_s12", "", 64),
    timm(
        "focalnet_tiny_srf", "", 64, unrecorded=(("modulation", "no attention weights exist"),) * 12
    ),
    timm("mixer_s32_224", "", 224),
    timm("sequencer2d_s", "", 224),
    timm("convnext_atto", "", 64),
    torchvision(
        "vit_b_16",
        "12 sdpa",
        64,
        64,
        image_size=64,
        output_change=5e-6,
        because="torch leaves its fused kernel for whole layers while anything observes",
    ),
    torchvision("swin_t", "12 softmax", 64, 64),
    torchvision("swin_v2_t", "12 softmax", 64, 64),
    torchvision("maxvit_t", "22 softmax", 224, 224),
    torchvision("mvit_v2_s", "16 explicit", 16, 224, 224),
    torchvision("mvit_v1_b", "16 softmax", 16, 224, 224),
    torchvision("swin3d_t", "12 softmax", 8, 64, 64),
)
