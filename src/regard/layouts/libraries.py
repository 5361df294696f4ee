"""Recipes of models that name their architecture by their class: timm, torchvision, diffusers.

A key is package and class. Diffusion models see latents, so the view that `lay_out` is given must
lead from the picture to these; packed latents (Flux) have the view of the picture itself.
"""

from regard.layouts.grids import Measured, Named, Raster
from regard.layouts.latents import (
    Codes,
    LatentVideo,
    ListedLatents,
    PackedLatents,
    ToldVideo,
    packed_length,
)
from regard.layouts.scene import Recipe, Rules, Scene
from regard.layouts.sequences import Length, Part, Parts, Words, patches
from regard.layouts.video import PerFrame, TemporalMaps
from regard.layouts.windows import MaskUnits, ShiftedWindows, WholeWindows

CLS = Raster(("cls",), more="register")
MAP = Measured()
PATCHES = Raster()
WORDS = Words()
VIDEO = LatentVideo()
FRAMES_FIRST = LatentVideo(time_axis=-4)
PACKED = PackedLatents()
CODES = Codes()
TOLD = ToldVideo()
FRAME_MAPS, TIMES = PerFrame(MAP, time_axis=-3), TemporalMaps(time_axis=-3)
FRAMES_FIRST_MAPS, FRAMES_FIRST_TIMES = PerFrame(MAP), TemporalMaps()
IMAGE_EMBEDDING = Named("image embedding")


def image_then_text(image: Recipe, length: Length) -> Recipe:
    """One sequence, the image before its words."""
    return Parts((Part("image", image, length), Part("text", WORDS)))


def text_then_image(image: Recipe, length: Length) -> Recipe:
    """One sequence, words before their image."""
    return Parts((Part("text", WORDS), Part("image", image, length)))


def told(name: str) -> Length:
    """As many tokens as this input has: none where it is missing, one where it is a vector."""

    def length(scene: Scene) -> int:
        value = scene.inputs.get(name)
        return 0 if value is None else 1 if value.dim() == 2 else int(value.shape[1])

    return length


PIXELS = patches(0)
UNET: Rules = {"*.attn2": (MAP, WORDS), "*": MAP}
CROSS: Rules = {"*.attn2": (PATCHES, WORDS), "*": PATCHES}
VIDEO_CROSS: Rules = {"*.attn2": (VIDEO, WORDS), "*": VIDEO}
AUDIO = Parts(
    (
        Part("", Named("global state"), told("global_hidden_states")),
        Part("", Named("audio latent")),
    )
)
FLUX: Rules = {"*": text_then_image(PACKED, packed_length)}

LIBRARIES: dict[str, Rules] = {
    "diffusers:AllegroTransformer3DModel": VIDEO_CROSS,
    "diffusers:AuraFlowTransformer2DModel": {
        "*": Parts(
            (
                Part("", Named("register"), lambda _: 8),
                Part("text", WORDS),
                Part("image", PATCHES, PIXELS),
            )
        )
    },
    "diffusers:AutoencoderKL": {"*": MAP},
    "diffusers:ChromaTransformer2DModel": FLUX,
    "diffusers:CogVideoXTransformer3DModel": {
        "*": text_then_image(FRAMES_FIRST, FRAMES_FIRST.length)
    },
    "diffusers:CogView4Transformer2DModel": {"*": text_then_image(PATCHES, PIXELS)},
    "diffusers:ControlNetModel": UNET,
    "diffusers:DiTTransformer2DModel": CROSS,
    "diffusers:Flux2Transformer2DModel": FLUX,
    "diffusers:FluxTransformer2DModel": FLUX,
    "diffusers:HunyuanDiT2DModel": {"*.pooler": (Named("mean"), WORDS), **CROSS},
    "diffusers:HunyuanVideoTransformer3DModel": {
        "context_embedder": WORDS,
        "*": image_then_text(VIDEO, VIDEO.length),
    },
    "diffusers:LTXVideoTransformer3DModel": {"*.attn2": (TOLD, WORDS), "*": TOLD},
    "diffusers:LatteTransformer3DModel": {
        "temporal_transformer_blocks": TIMES,
        "*.attn2": (PerFrame(PATCHES, time_axis=-3), WORDS),
        "*": PerFrame(PATCHES, time_axis=-3),
    },
    "diffusers:Lumina2Transformer2DModel": {
        "context_refiner": WORDS,
        "noise_refiner": PATCHES,
        "*": text_then_image(PATCHES, PIXELS),
    },
    "diffusers:MochiTransformer3DModel": {
        "*.pooler": (Named("mean"), WORDS),
        "*": image_then_text(VIDEO, VIDEO.length),
    },
    "diffusers:PixArtTransformer2DModel": CROSS,
    "diffusers:PriorTransformer": {
        "*": Parts(
            (
                Part("text", WORDS, told("encoder_hidden_states")),
                Part("", Named("condition"), told("proj_embedding")),
                Part("", Named("time"), lambda _: 1),
                Part("", Named("noisy embedding"), told("hidden_states")),
                Part("", Named("prediction")),
            )
        )
    },
    "diffusers:QwenImageTransformer2DModel": FLUX,
    "diffusers:SD3Transformer2DModel": {
        "*.attn2": PATCHES,
        "*": image_then_text(PATCHES, PIXELS),
    },
    "diffusers:SanaTransformer2DModel": CROSS,
    "diffusers:StableAudioDiTModel": {"*.attn2": (AUDIO, WORDS), "*": AUDIO},
    "diffusers:UNet2DConditionModel": UNET,
    "diffusers:UNet2DModel": UNET,
    "diffusers:UNet3DConditionModel": {
        "transformer_in": TIMES,
        "*.temp_attentions": TIMES,
        "*.attn2": (FRAME_MAPS, WORDS),
        "*": FRAME_MAPS,
    },
    "diffusers:UNetSpatioTemporalConditionModel": {
        "*.temporal_transformer_blocks.*.attn2": (FRAMES_FIRST_TIMES, IMAGE_EMBEDDING),
        "*.temporal_transformer_blocks": FRAMES_FIRST_TIMES,
        "*.attn2": (FRAMES_FIRST_MAPS, IMAGE_EMBEDDING),
        "*": FRAMES_FIRST_MAPS,
    },
    "diffusers:UVit2DModel": {
        "*.attention_blocks": (CODES, WORDS),
        "*.attn2": (CODES, WORDS),
        "*": CODES,
    },
    "diffusers:VQModel": {"*": MAP},
    "diffusers:WanTransformer3DModel": VIDEO_CROSS,
    "diffusers:ZImageTransformer2DModel": {
        "noise_refiner": ListedLatents(text=False),
        "context_refiner": ListedLatents(image=False),
        "*": ListedLatents(),
    },
    "timm:Beit": {"*": CLS},
    "timm:Eva": {"*": CLS},
    "timm:Hiera": {"*": MaskUnits("q_stride", "patch_stride", "stage_ends")},
    "timm:MaxxVit": {"*.attn_block": WholeWindows(), "*.attn_grid": WholeWindows(spread=True)},
    "timm:MultiScaleVit": {"*": Measured(("cls",))},
    "timm:PyramidVisionTransformerV2": {"*": MAP},
    "timm:SwinTransformer": {"*": ShiftedWindows()},
    "timm:SwinTransformerV2": {"*": ShiftedWindows()},
    "timm:VisionTransformer": {"attn_pool": (Named("probe"), CLS), "*": CLS},
    "timm:VisionTransformerDistilled": {"*": Raster(("cls", "distillation"))},
    "torchvision:MaxVit": {
        "*.window_attention": WholeWindows(),
        "*.grid_attention": WholeWindows(spread=True),
    },
    "torchvision:SwinTransformer": {"*": ShiftedWindows(step=2, patch_px=4)},
    "torchvision:VisionTransformer": {"*": CLS},
}
"""Package and class to rules."""
