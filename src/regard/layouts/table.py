"""The recipe of each architecture: data, not code.

A key is what transformers calls the architecture (`config.model_type`), or package and class
("timm:VisionTransformer"). Its rules say which layers, by a glob over paths below the module of
that architecture, have which recipe: one for both axes, or a pair for queries and keys. The
outermost module that has a fitting rule decides; parts with a config of their own (the vision
tower of a language model, the backbone of a detector) are found under their own name.
"""

from regard.layouts.any_resolution import any_resolution
from regard.layouts.grids import By, Measured, Named, PixelsAsWords, Pooled, QueriesFirst, Raster
from regard.layouts.images import (
    MergeBlocks,
    Packed,
    broken_rows,
    frames,
    halved_frames,
    maps,
    mean_and_maps,
    pictures,
)
from regard.layouts.keypoints import Keypoints
from regard.layouts.libraries import LIBRARIES
from regard.layouts.placeholders import Placeholders
from regard.layouts.pyramids import Levels
from regard.layouts.ragged import (
    OneAfterAnother,
    OverlappingCrops,
    Resized,
    RowsAndColumns,
    SpatialShapes,
    Tiles,
    merged_pictures,
    shaped_pictures,
)
from regard.layouts.regions import Regions
from regard.layouts.scene import Rules
from regard.layouts.sequences import (
    Kept,
    Part,
    Parts,
    TextAndDrawnPatches,
    TextAndUnclaimedPatches,
    Turns,
    UnderPrompt,
    Words,
    patches,
    text_length,
)
from regard.layouts.video import (
    CLS_FRAME,
    AllFrames,
    ContextAndTargets,
    FramesInTurn,
    PerFrame,
    Temporal,
    TimeFastest,
    Tubelets,
)
from regard.layouts.windows import (
    MaskUnits,
    PatchesOfMap,
    PixelsOfPatches,
    PooledWindows,
    ShiftedWindows,
    StageWindows,
    Windows,
    WindowsWithClass,
)

CLS = Raster(("cls",), more="register")
PATCHES = Raster()
WORDS = Words()
LATENTS = Named("latent")
QUERIES = Named("query")
GROUPS = Named("group")
POOLED: Rules = {"head": (Named("probe"), PATCHES), "*": PATCHES}
TEXT = {"text_model": WORDS}
PACKED: Rules = {"language_model": Placeholders(Packed(), Packed())}
PROMPT: Rules = {"language_model": Placeholders(pictures)}
MATCHER: Rules = {"*.cross_attention": (Keypoints(), Keypoints(other=True)), "*": Keypoints()}
WORDS_CLS = Parts((Part("text", WORDS, text_length), Part("image", CLS)))
MAP, LEVELS = Measured(), Levels()
DETR: Rules = {
    "decoder.layers.*.self_attn": QUERIES,
    "decoder": (QUERIES, MAP),
    "encoder": MAP,
    "bbox_attention": (QUERIES, MAP),
}
DEFORMABLE: Rules = {
    "decoder.layers.*.self_attn": QUERIES,
    "decoder": (QUERIES, LEVELS),
    "encoder.layers": LEVELS,
    "encoder": MAP,
}
GROUNDING: Rules = {
    "encoder.layers.*.fusion_layer": (Turns(LEVELS, WORDS), Turns(WORDS, LEVELS)),
    "encoder.layers.*.text_enhancer_layer": WORDS,
    "decoder.layers.*.encoder_attn_text": (QUERIES, WORDS),
    **DEFORMABLE,
}
MASKS: Rules = {
    "pixel_level_module.decoder": LEVELS,
    "transformer_module.decoder.query_transformer.decoder.layers.*.self_attn": QUERIES,
    "transformer_module.*.self_attn": QUERIES,
    "transformer_module": (QUERIES, MAP),
}
PROMPTED = Named("mask or prompt token")
TWO_WAY: Rules = {
    "mask_decoder.*self_attn": PROMPTED,
    "mask_decoder.*token_to_image": (PROMPTED, MAP),
    "mask_decoder.*image_to_token": (MAP, PROMPTED),
}
SAM3_MAP = Measured(strides=(14,))
LATENTS_LAST = Parts((Part("image", PATCHES), Part("", LATENTS, lambda s: s.call.shape[2])))
CLS_LATENTS_LAST = Parts((Part("image", CLS), Part("", LATENTS, lambda s: s.call.shape[2])))
QUERIES_WORDS = Parts(
    (Part("", QUERIES, lambda s: int(s.setting("num_query_tokens"))), Part("text", WORDS))
)
CLS_WORDS = Parts((Part("image", CLS, patches(1)), Part("text", WORDS)))
REGIONS, UNPLACED_REGIONS = Regions(), Named("region")
CLS_CLS_WORDS = Parts((Part("", Named("cls"), lambda _: 1), *CLS_WORDS.parts))

TABLE: dict[str, Rules] = {
    "aimv2": TEXT,
    "aimv2_vision_model": POOLED,
    "altclip": TEXT,
    "altclip_vision_model": {"*": CLS},
    "aria": {"*cross_attn": (QUERIES, PATCHES), "language_model": WORDS},
    "aya_vision": PROMPT,
    "bart": {"*": WORDS},
    "beit": {"*": CLS},
    "bert": {"*": WORDS},
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
    "bridgetower": {
        "text_model": WORDS,
        "vision_model": CLS,
        "cross_modal_text_layers.*.crossattention": (WORDS, CLS),
        "cross_modal_text_layers": WORDS,
        "cross_modal_image_layers.*.crossattention": (CLS, WORDS),
        "cross_modal_image_layers": CLS,
    },
    "chameleon": {"vqmodel": MAP, "layers": Placeholders(maps)},
    "chinese_clip": TEXT,
    "chinese_clip_vision_model": {"*": CLS},
    "clip": TEXT,
    "clip_text_model": {"*": WORDS},
    "clip_vision_model": {"*": CLS},
    "clipseg": TEXT | {"decoder": CLS},
    "clipseg_vision_model": {"*": CLS},
    "cohere2_vision": PROMPT,
    "conditional_detr": DETR,
    "cvt": {"*": Measured(("cls",))},
    "d_fine": DEFORMABLE,
    "dab-detr": DETR,
    "data2vec-vision": {"*": CLS},
    "deepseek_vl": PROMPT,
    "deformable_detr": DEFORMABLE,
    "deimv2": DEFORMABLE,
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
    "eomt_dinov3": {"*": QueriesFirst()},
    "flava": {"image_model": CLS, "text_model": WORDS, "multimodal_model": CLS_CLS_WORDS},
    "flava_image_model": {"*": CLS},
    "florence2": {
        "language_model.decoder.*.encoder_attn": (WORDS, Placeholders(mean_and_maps)),
        "language_model.decoder": WORDS,
        "language_model": Placeholders(mean_and_maps),
    },
    "florence_vision": {"*.window_attn": StageWindows(), "*.channel_attn": Named("channel")},
    "fuyu": {"language_model": Placeholders(broken_rows)},
    "gemma3": PROMPT,
    "git": {"*image_encoder": CLS, "*encoder": CLS_WORDS},
    "git_vision_model": {"*": CLS},
    "glm4v": PACKED,
    "glm4v_vision": {"*": MergeBlocks()},
    "glpn": {"*": Measured()},
    "got_ocr2": PROMPT,
    "got_ocr2_vision": {"*": Windows()},
    "grounding-dino": GROUNDING,
    "groupvit": {
        "text_model": WORDS,
        "vision_model.encoder.stages.0.layers": Raster(rest="group"),
        "vision_model.encoder.stages.0.downsample": (
            Turns(GROUPS, PATCHES),  # soft, then hard the other way round
            Turns(PATCHES, GROUPS),
        ),
        "vision_model": GROUPS,
    },
    "hiera": {"*": MaskUnits()},
    "idefics2": {"*perceiver_resampler": (LATENTS, LATENTS_LAST), "text_model": WORDS},
    "idefics2_vision": {"*": PATCHES},
    "idefics3": {"text_model": Placeholders(pictures)},
    "idefics3_vision": {"*": PATCHES},
    "ijepa": {"*": PATCHES},
    "imagegpt": {"*": PixelsAsWords()},
    "instructblip": {
        "*qformer.*.crossattention": (QUERIES, CLS),
        "*qformer": QUERIES_WORDS,
        "language_model": WORDS,
    },
    "instructblip_vision_model": {"*": CLS},
    "instructblipvideo": {
        "*qformer.*.crossattention": (QUERIES, PerFrame(CLS)),
        "*qformer": QUERIES_WORDS,
        "language_model": WORDS,
    },
    "instructblipvideo_vision_model": {"*": PerFrame(CLS)},
    "internvl": PROMPT,
    "internvl_vision": {"*": CLS},
    "janus_vision_model": {"*": PATCHES},
    "kosmos-2": {"*image_to_text_projection": (LATENTS, CLS_LATENTS_LAST), "text_model": WORDS},
    "kosmos_2_vision_model": {"*": CLS},
    "layoutlm": {"*": WORDS},
    "layoutlmv3": {"*": WORDS_CLS},
    "levit": {"*": Measured()},
    "lfm2_vl": {"language_model": Placeholders(shaped_pictures)},
    "lightglue": MATCHER,
    "lilt": {"*": WORDS},
    "llava": PROMPT,
    "llava_next": {"language_model": Placeholders(any_resolution)},
    "llava_next_video": {"language_model": Placeholders(any_resolution, frames)},
    "llava_onevision": {"language_model": Placeholders(any_resolution, halved_frames)},
    "lw_detr": DEFORMABLE,
    "lw_detr_vit": {"*": WindowsWithClass("num_windows_side")},
    "lxmert": {
        "encoder.layer": WORDS,
        "encoder.r_layers": REGIONS,
        "encoder.x_layers.*.visual_attention": (
            Turns(WORDS, REGIONS, "step"),
            Turns(REGIONS, WORDS, "step"),
        ),
        "encoder.x_layers.*.lang_self_att": WORDS,
        "encoder.x_layers.*.visn_self_att": REGIONS,
    },
    "mask2former": MASKS,
    "maskformer": MASKS,
    "maskformer-swin": {"*": ShiftedWindows()},
    "metaclip_2": TEXT,
    "metaclip_2_vision_model": {"*": CLS},
    "mgp-str": {"*a3_module": (Named("character"), CLS), "*": CLS},
    "mistral3": {"language_model": Placeholders(merged_pictures)},
    "mlcd_vision_model": {"*": CLS},
    "mllama": {"language_model.*.cross_attn": (WORDS, Tiles()), "language_model": WORDS},
    "mllama_vision_model": {"*": Tiles(multiple=8)},
    "mm-grounding-dino": GROUNDING,
    "mobilevit": {"*": PixelsOfPatches()},
    "mobilevitv2": {"*": (Named("sum"), PatchesOfMap())},
    "oneformer": MASKS,
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
    "phi4_multimodal_vision": POOLED,
    "pix2struct": {
        "decoder.*.encoder_decoder_attention": (WORDS, RowsAndColumns()),
        "decoder": WORDS,
    },
    "pix2struct_vision_model": {"*": RowsAndColumns()},
    "pixio": {"*": Raster(more="cls")},
    "pixtral": {"*": OneAfterAnother()},
    "pp_doclayout_v3": DEFORMABLE,
    "pvt": {"*": Measured(("cls",))},
    "pvt_v2": {
        "*": (Measured(), By("linear_attention", {True: Pooled(), False: Measured()})),
    },
    "qwen2_5_vl": PACKED,
    "qwen2_5_vl_vision": {"*": MergeBlocks()},
    "qwen2_vl": PACKED,
    "qwen2_vl_vision": {"*": MergeBlocks()},
    "qwen3_5": PACKED,
    "qwen3_5_vision": {"*": MergeBlocks()},
    "qwen3_vl": PACKED,
    "qwen3_vl_vision": {"*": MergeBlocks()},
    "radio": {"*": Raster(more="summary")},
    "rf_detr": DEFORMABLE,
    "rf_detr_dinov2": {"*": WindowsWithClass("num_windows", ("cls",))},
    "rt_detr": DEFORMABLE,
    "rt_detr_v2": DEFORMABLE,
    "sam": TWO_WAY,
    "sam2": TWO_WAY,
    "sam2_hiera_det_model": {"*": PooledWindows()},
    "sam3": {
        "detr_encoder.layers.*.cross_attn": (SAM3_MAP, WORDS),
        "detr_encoder": SAM3_MAP,
        "detr_decoder.layers.*.self_attn": QUERIES,
        "detr_decoder.layers.*.text_cross_attn": (QUERIES, WORDS),
        "detr_decoder": (QUERIES, SAM3_MAP),
        "mask_decoder": (SAM3_MAP, WORDS),
    },
    "sam3_vit_model": {"*": Windows()},
    "sam_hq": TWO_WAY,
    "sam_hq_vision_model": {"*": Windows()},
    "sam_vision_model": {"*": Windows()},
    "segformer": {"*": Measured()},
    "seggpt": {"*": UnderPrompt()},
    "shieldgemma2": PROMPT,
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
    "tvp": {
        "encoder": Parts(
            (
                Part("", Named("prompt"), lambda _: 10),
                Part("text", WORDS, text_length),
                Part("frames", AllFrames(MAP)),
            )
        )
    },
    "udop": {
        "encoder": TextAndUnclaimedPatches(),
        "decoder.*.EncDecAttention": (WORDS, TextAndUnclaimedPatches()),
        "decoder": WORDS,
    },
    "video_llava": {"language_model": Placeholders(pictures, frames)},
    "videomae": {"*": Tubelets()},
    "videomt": {"layers": FramesInTurn()},
    "videoprism_vision_model": {"spatial_layers": PerFrame(PATCHES), "temporal_layers": Temporal()},
    "vilt": {"*": TextAndDrawnPatches()},
    "vipllava": PROMPT,
    "vision-encoder-decoder": {
        "decoder.*.crossattention": (WORDS, CLS),
        "decoder.*.encoder_attn": (WORDS, Measured(("cls",))),
        "decoder": WORDS,
    },
    "visual_bert": {
        "encoder": Parts((Part("text", WORDS, text_length), Part("", UNPLACED_REGIONS)))
    },
    "vit": {"*": CLS},
    "vit_mae": {"*decoder": CLS, "*": Kept()},
    "vit_msn": {"*": CLS},
    "vitdet": {"*": Windows()},
    "vitpose_backbone": {"*": Raster(padding_px=2)},
    "vivit": {"*": Tubelets(("cls",))},
    "vjepa2": {"*encoder": Tubelets(), "*predictor": ContextAndTargets()},
    "xclip": TEXT | {"mit": Named("frame"), "prompts_generator": (Named("sentence"), PATCHES)},
    "xclip_vision_model": {
        "*.message_attn": Named("message of frame"),
        "*": PerFrame(Raster(("cls",), suffix="message")),
    },
    "yolos": {"*": Raster(("cls",), suffix="detection", suffix_count="num_detection_tokens")},
    "zoedepth": {"backbone": CLS},
    **LIBRARIES,
}
"""Architecture to rules."""
