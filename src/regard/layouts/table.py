"""The recipe of each architecture: data, not code.

A key is what transformers calls the architecture (`config.model_type`), or package and class
("timm:VisionTransformer"). Its rules say which layers, by a glob over paths below the module of
that architecture, have which recipe: one for both axes, or a pair for queries and keys. The
outermost module that has a fitting rule decides; parts with a config of their own (the vision
tower of a language model, the backbone of a detector) are found under their own name.
"""

from collections.abc import Mapping

from regard.layouts.grids import By, Measured, Named, Pooled, Raster
from regard.layouts.scene import Recipe
from regard.layouts.video import CLS_FRAME, Temporal, TimeFastest, Tubelets
from regard.layouts.windows import (
    MaskUnits,
    PixelsOfPatches,
    PooledWindows,
    ShiftedWindows,
    Windows,
    WindowsWithClass,
)

Rules = Mapping[str, Recipe | tuple[Recipe, Recipe]]

CLS = Raster(("cls",), more="register")
PATCHES = Raster()
POOLED: Rules = {"head": (Named("probe"), PATCHES), "*": PATCHES}

TABLE: dict[str, Rules] = {
    "aimv2_vision_model": POOLED,
    "beit": {"*": CLS},
    "clip_vision_model": {"*": CLS},
    "cvt": {"*": Measured(("cls",))},
    "data2vec-vision": {"*": CLS},
    "deit": {"*": Raster(("cls", "distillation"))},
    "dinov2": {"*": CLS},
    "dinov2_with_registers": {"*": CLS},
    "dinov3_vit": {"*": CLS},
    "donut-swin": {"*": ShiftedWindows()},
    "dpt": {"*": CLS},
    "glpn": {"*": Measured()},
    "hiera": {"*": MaskUnits()},
    "ijepa": {"*": PATCHES},
    "imagegpt": {"*": Measured()},
    "levit": {"*": Measured()},
    "lw_detr_vit": {"*": WindowsWithClass("num_windows_side")},
    "maskformer-swin": {"*": ShiftedWindows()},
    "mlcd_vision_model": {"*": CLS},
    "mobilevit": {"*": PixelsOfPatches()},
    "pixio": {"*": Raster(more="cls")},
    "pvt": {"*": Measured(("cls",))},
    "pvt_v2": {"*": (Measured(), By("linear_attention", {True: Pooled(), False: Measured()}))},
    "rf_detr_dinov2": {"*": WindowsWithClass("num_windows", ("cls",))},
    "sam_vision_model": {"*": Windows()},
    "sam_hq_vision_model": {"*": Windows()},
    "sam2_hiera_det_model": {"*": PooledWindows()},
    "segformer": {"*": Measured()},
    "siglip_vision_model": POOLED,
    "swin": {"*": ShiftedWindows()},
    "swin2sr": {"*": ShiftedWindows(merging=False)},
    "swinv2": {"*": ShiftedWindows()},
    "timesformer": {
        "*.temporal_attention.*": Temporal(),
        "*": By(
            "attention_type",
            {
                "divided_space_time": CLS_FRAME,
                "space_only": CLS_FRAME,
                "joint_space_time": TimeFastest(("cls",)),
            },
        ),
    },
    "videomae": {"*": Tubelets()},
    "vit": {"*": CLS},
    "vit_msn": {"*": CLS},
    "vitdet": {"*": Windows()},
    "vivit": {"*": Tubelets(("cls",))},
    "vjepa2": {"encoder.*": Tubelets()},
    "yolos": {"*": Raster(("cls",), suffix="detection", suffix_count="num_detection_tokens")},
}
"""Architecture to rules."""
