"""The recipe of each architecture: data, not code.

A key is what transformers calls the architecture (`config.model_type`), or package and class
("timm:VisionTransformer"). Its rules say which layers, by a glob over paths below the module of
that architecture, have which recipe: one for both axes, or a pair for queries and keys. The
outermost module that has a fitting rule decides; parts with a config of their own (the vision
tower of a language model, the backbone of a detector) are found under their own name.
"""

from collections.abc import Mapping

from regard.layouts.grids import By, Measured, Named, Pooled, QueriesFirst, Raster
from regard.layouts.images import MergeBlocks, Packed, any_resolution, pictures
from regard.layouts.keypoints import Keypoints
from regard.layouts.ragged import (
    OneAfterAnother,
    OverlappingCrops,
    Resized,
    RowsAndColumns,
    SpatialShapes,
    Tiles,
    merged_pictures,
)
from regard.layouts.scene import Recipe
from regard.layouts.sequences import (
    Kept,
    Part,
    Parts,
    Placeholders,
    TextAndDrawnPatches,
    Words,
    patches,
    text_length,
)
from regard.layouts.video import CLS_FRAME, PerFrame, Temporal, TimeFastest, Tubelets
from regard.layouts.windows import (
    MaskUnits,
    PixelsOfPatches,
    PooledWindows,
    ShiftedWindows,
    StageWindows,
    Windows,
    WindowsWithClass,
)

Rules = Mapping[str, Recipe | tuple[Recipe, Recipe]]

CLS = Raster(("cls",), more="register")
PATCHES = Raster()
WORDS = Words()
LATENTS = Named("latent")
QUERIES = Named("query")
POOLED: Rules = {"head": (Named("probe"), PATCHES), "*": PATCHES}
TEXT = {"text_model": WORDS}
PACKED: Rules = {"language_model": Placeholders(Packed())}
PROMPT: Rules = {"language_model": Placeholders(pictures)}
MATCHER: Rules = {"*.cross_attention": (Keypoints(), Keypoints(other=True)), "*": Keypoints()}
WORDS_CLS = Parts((Part("text", WORDS, text_length), Part("image", CLS)))
DETR: Rules = {
    "*decoder.layers.*.self_attn": QUERIES,
    "*decoder": (QUERIES, Measured()),
    "*encoder": Measured(),
}
CLS_WORDS = Parts((Part("image", CLS, patches(1)), Part("text", WORDS)))

TABLE: dict[str, Rules] = {
    "aimv2": TEXT,
    "aimv2_vision_model": POOLED,
    "altclip": TEXT,
    "altclip_vision_model": {"*": CLS},
    "aya_vision": PROMPT,
    "beit": {"*": CLS},
    "blip": {
        "*.crossattention": (WORDS, CLS),
        "text_decoder": WORDS,
        "text_encoder": WORDS,
        "text_model": WORDS,
    },
    "blip-2": {
        "language_model": WORDS,
        "*qformer.*.crossattention": (QUERIES, CLS),
        "*qformer": WORDS,
    },
    "blip_2_vision_model": {"*": CLS},
    "blip_vision_model": {"*": CLS},
    "chinese_clip": TEXT,
    "chinese_clip_vision_model": {"*": CLS},
    "clip": TEXT,
    "clip_vision_model": {"*": CLS},
    "clipseg": TEXT | {"decoder": CLS},
    "clipseg_vision_model": {"*": CLS},
    "cohere2_vision": PROMPT,
    "conditional_detr": DETR,
    "cvt": {"*": Measured(("cls",))},
    "data2vec-vision": {"*": CLS},
    "deepseek_vl": PROMPT,
    "deit": {"*": Raster(("cls", "distillation"))},
    "depth_pro": {
        "*patch_encoder": OverlappingCrops(),
        "*image_encoder": Resized("image_model_config"),
        "*fov_model": Resized("fov_model_config"),
    },
    "detr": DETR,
    "dinov2": {"*": CLS},
    "dinov2_with_registers": {"*": CLS},
    "dinov3_vit": {"*": CLS},
    "donut-swin": {"*": ShiftedWindows()},
    "dpt": {"*": CLS},
    "eomt": {"*": QueriesFirst()},
    "flava": {"image_model": CLS, "text_model": WORDS},
    "flava_image_model": {"*": CLS},
    "florence_vision": {"*.window_attn": StageWindows(), "*.channel_attn": Named("channel")},
    "gemma3": PROMPT,
    "git": {"*image_encoder": CLS, "*encoder": CLS_WORDS},
    "git_vision_model": {"*": CLS},
    "glm4v": PACKED,
    "glm4v_vision": {"*": MergeBlocks()},
    "glpn": {"*": Measured()},
    "got_ocr2_vision": {"*": Windows()},
    "hiera": {"*": MaskUnits()},
    "idefics3": {"text_model": Placeholders(pictures)},
    "idefics3_vision": {"*": PATCHES},
    "ijepa": {"*": PATCHES},
    "imagegpt": {"*": Measured()},
    "instructblip_vision_model": {"*": CLS},
    "internvl": PROMPT,
    "internvl_vision": {"*": CLS},
    "janus_vision_model": {"*": PATCHES},
    "kosmos_2_vision_model": {"*": CLS},
    "layoutlmv3": {"*": WORDS_CLS},
    "levit": {"*": Measured()},
    "lightglue": MATCHER,
    "llava": PROMPT,
    "llava_next": {"language_model": Placeholders(any_resolution)},
    "lw_detr_vit": {"*": WindowsWithClass("num_windows_side")},
    "maskformer-swin": {"*": ShiftedWindows()},
    "metaclip_2": TEXT,
    "metaclip_2_vision_model": {"*": CLS},
    "mistral3": {"language_model": Placeholders(merged_pictures)},
    "mllama": {"language_model.*.cross_attn": (WORDS, Tiles()), "language_model": WORDS},
    "mllama_vision_model": {"*": Tiles(multiple=8)},
    "mlcd_vision_model": {"*": CLS},
    "mobilevit": {"*": PixelsOfPatches()},
    "owlv2": TEXT,
    "owlv2_vision_model": {"*": CLS},
    "owlvit": TEXT,
    "owlvit_vision_model": {"*": CLS},
    "paligemma": PROMPT,
    "perceiver": {
        "*encoder.cross_attention": (LATENTS, Measured()),
        "*encoder.self_attends": LATENTS,
        "*decoder": (QUERIES, LATENTS),
    },
    "pix2struct": {
        "decoder.*.encoder_decoder_attention": (WORDS, RowsAndColumns()),
        "decoder": WORDS,
    },
    "pix2struct_vision_model": {"*": RowsAndColumns()},
    "pixtral": {"*": OneAfterAnother()},
    "pixio": {"*": Raster(more="cls")},
    "pvt": {"*": Measured(("cls",))},
    "pvt_v2": {
        "*": (Measured(), By("linear_attention", {True: Pooled(), False: Measured()})),
    },
    "qwen2_5_vl": PACKED,
    "qwen2_5_vl_vision": {"*": MergeBlocks()},
    "qwen2_vl": PACKED,
    "qwen2_vl_vision": {"*": MergeBlocks()},
    "qwen3_vl": PACKED,
    "qwen3_vl_vision": {"*": MergeBlocks()},
    "radio": {"*": Raster(more="summary")},
    "rf_detr_dinov2": {"*": WindowsWithClass("num_windows", ("cls",))},
    "sam2_hiera_det_model": {"*": PooledWindows()},
    "sam3_vit_model": {"*": Windows()},
    "sam_hq_vision_model": {"*": Windows()},
    "sam_vision_model": {"*": Windows()},
    "segformer": {"*": Measured()},
    "siglip": TEXT,
    "siglip2": TEXT,
    "siglip2_vision_model": {"*head": (Named("probe"), SpatialShapes()), "*": SpatialShapes()},
    "siglip_vision_model": POOLED,
    "smolvlm": {"text_model": Placeholders(pictures)},
    "smolvlm_vision": {"*": PATCHES},
    "superglue": {"*": (Keypoints(), Keypoints(kinds="gnn_layers_types"))},
    "swin": {"*": ShiftedWindows()},
    "swin2sr": {"*": ShiftedWindows(merging=False)},
    "swinv2": {"*": ShiftedWindows()},
    "table-transformer": DETR,
    "timm:Beit": {"*": CLS},
    "timm:Eva": {"*": CLS},
    "timm:PyramidVisionTransformerV2": {"*": Measured()},
    "timm:SwinTransformer": {"*": ShiftedWindows()},
    "timm:SwinTransformerV2": {"*": ShiftedWindows()},
    "timm:VisionTransformer": {"attn_pool": (Named("probe"), CLS), "*": CLS},
    "timm:VisionTransformerDistilled": {"*": Raster(("cls", "distillation"))},
    "timesformer": {
        "*.temporal_attention": Temporal(),
        "*": By(
            "attention_type",
            {
                "divided_space_time": CLS_FRAME,
                "space_only": CLS_FRAME,
                "joint_space_time": TimeFastest(("cls",)),
            },
        ),
    },
    "tipsv2_vision_model": {"*": CLS},
    "videomae": {"*": Tubelets()},
    "videoprism_vision_model": {"spatial_layers": PerFrame(PATCHES), "temporal_layers": Temporal()},
    "vilt": {"*": TextAndDrawnPatches()},
    "vipllava": PROMPT,
    "vision-encoder-decoder": {
        "decoder.*.crossattention": (WORDS, CLS),
        "decoder.*.encoder_attn": (WORDS, Measured(("cls",))),
        "decoder": WORDS,
    },
    "vit": {"*": CLS},
    "vit_mae": {"*decoder": CLS, "*": Kept()},
    "vit_msn": {"*": CLS},
    "vitdet": {"*": Windows()},
    "vitpose_backbone": {"*": Raster(padding_px=2)},
    "vivit": {"*": Tubelets(("cls",))},
    "vjepa2": {"*encoder": Tubelets()},
    "xclip": TEXT | {"mit": Named("frame")},
    "xclip_vision_model": {
        "*.message_attn": Named("message of frame"),
        "*": PerFrame(Raster(("cls",), suffix="message")),
    },
    "yolos": {"*": Raster(("cls",), suffix="detection", suffix_count="num_detection_tokens")},
    "zoedepth": {"backbone": CLS},
}
"""Architecture to rules."""
