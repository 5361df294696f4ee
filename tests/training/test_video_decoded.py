"""What training keeps of each clip is what the network makes of its frames."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from regard.models.dvis_daq.settings import Settings
from training.video_decoded import decoded
from training.video_network import build
from training.video_pool import Pool
from training.video_segmented import segmented

SIDE_PX = 64
HALF = 2e-3  # float16, relative


def pool() -> Pool:
    random = np.random.default_rng(0)
    images = random.integers(256, size=(2, 3, 3, SIDE_PX, SIDE_PX), dtype=np.uint8)
    return Pool(images, np.zeros((2, 3, 4, 16, 16), np.uint8), np.zeros((2, 4), np.int8))


def test_what_is_kept_is_what_the_network_says(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build(3).eval()
    clips = decoded(network, pool(), Settings(short_side_px=SIDE_PX), tmp_path)
    said = segmented(network, clips, tmp_path)
    levels, features = clips.clip(1)
    assert [level.shape for level in levels] == [(3, 64, side, side) for side in (2, 4, 8)]
    with torch.no_grad():
        predicted = network.sem_seg_head.predictor(levels, features)
    kept = said.frame([1, 1], 2)
    torch.testing.assert_close(kept.embeds[0], predicted.embeds[2], rtol=HALF, atol=HALF)
    torch.testing.assert_close(kept.logits[1], predicted.logits[2], rtol=HALF, atol=HALF)


def test_levels_are_those_of_the_pixel_decoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, clips = build(3).eval(), pool()
    settings = Settings(short_side_px=SIDE_PX)
    found, masks = decoded(network, clips, settings, tmp_path).frames([0, 1], [2, 0])
    mean, std = (torch.tensor(x)[:, None, None] for x in (settings.pixel_mean, settings.pixel_std))
    frames = torch.stack([torch.from_numpy(clips.images[c, f]) for c, f in ((0, 2), (1, 0))])
    with torch.no_grad():
        features, levels = network.sem_seg_head.pixel_decoder(
            network.backbone((frames - mean) / std)
        )
    for kept, level in zip(found, levels, strict=True):
        torch.testing.assert_close(kept, level, rtol=HALF, atol=HALF)
    torch.testing.assert_close(masks, F.avg_pool2d(features, 2), rtol=HALF, atol=HALF)


def test_files_are_made_once(tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = Settings(short_side_px=SIDE_PX)
    first = decoded(build(3).eval(), pool(), settings, tmp_path)
    again = decoded(build(3).eval(), pool(), settings, tmp_path)  # other weights
    assert np.array_equal(first.features, again.features)
