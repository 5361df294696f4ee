"""Video encoders of transformers."""

from regard.zoo.entry import Entry
from regard.zoo.entry import of_transformers as hf
from regard.zoo.inputs import frames
from regard.zoo.sizes import VIT

ENTRIES: tuple[Entry, ...] = (
    hf("videomae", frames(), "2 sdpa", "VideoMAEModel", **VIT, num_frames=4, tubelet_size=2),
    hf(
        "vivit",
        frames(),
        "2 sdpa",
        "VivitModel",
        **{**VIT, "patch_size": None},
        num_frames=4,
        tubelet_size=[2, 16, 16],
    ),
    hf("timesformer divided", frames(), "4 softmax", "TimesformerModel", **VIT, num_frames=4),
    hf(
        "timesformer space",
        frames(),
        "2 softmax",
        "TimesformerModel",
        **VIT,
        num_frames=4,
        attention_type="space_only",
    ),
    hf(
        "timesformer joint",
        frames(),
        "2 softmax",
        "TimesformerModel",
        **VIT,
        num_frames=4,
        attention_type="joint_space_time",
    ),
    hf(
        "vjepa2",
        frames(name="pixel_values_videos"),
        "4 sdpa",
        "VJEPA2Model",
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        patch_size=16,
        crop_size=64,
        frames_per_clip=4,
        mlp_ratio=1.0,
        pred_hidden_size=48,
        pred_num_attention_heads=4,
        pred_num_hidden_layers=2,
        pred_num_mask_tokens=2,
    ),
    hf(
        "videoprism_vision",
        frames(name="pixel_values_videos"),
        "16 softmax",
        "VideoPrismVisionModel",
        hidden_size=32,
        intermediate_size=32,
        num_attention_heads=4,
        image_size=64,
        num_frames=4,
        tubelet_size=[1, 16, 16],
    ),
)
