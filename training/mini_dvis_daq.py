"""Trains ``mini-dvis-daq``: ``python -m training.mini_dvis_daq WORK``.

First the backbone learns kinds of shapes. Then three stages, as upstream trains DVIS-DAQ: the
segmenter on single frames, the tracker on clips with the segmenter frozen, the refiner on clips
with both frozen. Everything is kept in the folder
WORK about once a minute, so the same command goes on where it was stopped. One thread, CPU.
"""

import argparse
import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor, nn

from regard.datasets.shapes import KINDS
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.pretrained import pretrained
from regard.models.dvis_daq.resnet import ResNet
from regard.models.dvis_daq.settings import Settings
from training.video_backbone import KindClassifier, kind_loss
from training.video_export import export, quality
from training.video_loop import Schedule, learn
from training.video_network import begin_refiner, begin_tracker, build
from training.video_pool import FRAMES, SIDE_PX, Pool, open_pool
from training.video_refiner import refiner_loss, refiner_rows
from training.video_segmented import SegmentedPool, segmented
from training.video_segmenter import CellClassifier, segmenter_loss
from training.video_tracker import tracker_loss

CLIPS = 1600
"""Clips that the segmenter learns from."""
TRACKED_CLIPS = 300
"""Those of them that tracker and refiner learn from."""
HELD_OUT = range(1_000_000, 1_000_016)
"""Clips that quality is measured on; the tests take others."""
BATCH = 16
CROPS = 64
BACKBONE = Schedule(steps=460, rate=2e-3, warm_steps=50)
SEGMENTER = Schedule(steps=2505, rate=8e-4, warm_steps=200)
TRACKER = Schedule(steps=150, rate=5e-4, warm_steps=30)
REFINER = Schedule(steps=280, rate=5e-4, warm_steps=30)

_WHOLE_FRAMES = 0.945
"""From this share of the segmenter's steps on, frames are whole; before, parts of them."""
_PART_PX = 96
_CROP_PX = 64

SETTINGS = Settings(
    max_unseen_frames=16,
    first_frame_threshold=0.45,
    threshold=0.45,
    slot_threshold=0.05,
    min_frames=2,
    max_instances=10,
    short_side_px=SIDE_PX,
    window=8,
)


def train(work: Path) -> DvisDaq:
    """The trained network, in evaluation mode."""
    torch.manual_seed(0)
    network = build(len(KINDS))
    pool = open_pool(work, range(CLIPS))
    _backbone(network, pool, work)
    _segmenter(network, pool, work)
    network.requires_grad_(False).eval()
    pool = pool.first(TRACKED_CLIPS)
    said = segmented(network, pool, work)
    begin_tracker(network)
    _tracker(network, pool, said, work)
    begin_refiner(network)
    network.requires_grad_(False)
    _refiner(network, pool, said, work)
    return network.requires_grad_(False)


def _backbone(network: DvisDaq, pool: Pool, work: Path) -> None:
    backbone = network.backbone
    assert isinstance(backbone, ResNet)
    classifier = KindClassifier(backbone, len(KINDS))

    def step_loss(step: int) -> Tensor:
        random = torch.Generator().manual_seed(step)
        pixels, shares, labels = pool.crops(CROPS, side_px=_CROP_PX, random=random)
        return kind_loss(classifier, pixels.to(memory_format=torch.channels_last), shares, labels)

    learn(classifier.train(), BACKBONE, step_loss, work / "backbone.pt")


def _segmenter(network: DvisDaq, pool: Pool, work: Path) -> None:
    cells = CellClassifier(len(KINDS))
    parts = nn.ModuleList([network.backbone, network.sem_seg_head, cells])

    def step_loss(step: int) -> Tensor:
        random = torch.Generator().manual_seed(step)
        places = torch.randint(len(pool) * FRAMES, (BATCH,), generator=random).tolist()
        side_px = SIDE_PX if step >= _WHOLE_FRAMES * SEGMENTER.steps else _PART_PX
        chosen = [divmod(place, FRAMES) for place in places]
        pixels, objects = pool.frames(chosen, side_px=side_px, random=random)
        pixels = pixels.to(memory_format=torch.channels_last)
        return segmenter_loss(network, cells, pixels, objects)

    learn(parts.train(), SEGMENTER, step_loss, work / "segmenter.pt")


def _tracker(network: DvisDaq, pool: Pool, said: SegmentedPool, work: Path) -> None:
    def step_loss(step: int) -> Tensor:
        random = torch.Generator().manual_seed(step)
        clips = torch.randint(len(pool), (BATCH,), generator=random).tolist()
        order = list(range(FRAMES))
        if torch.rand((), generator=random) < 0.5:
            order.reverse()
        return tracker_loss(
            network.tracker,
            [said.frame(clips, frame).at_half_size() for frame in order],
            [pool.objects(clips, frame).at_half_size() for frame in order],
            network.learned_queries,
            random,
        )

    learn(network.tracker.requires_grad_(True), TRACKER, step_loss, work / "tracker.pt")


def _refiner(network: DvisDaq, pool: Pool, said: SegmentedPool, work: Path) -> None:
    path = work / "rows.pt"
    if not path.is_file():
        rows = [refiner_rows(network, said.clip(clip), SETTINGS) for clip in range(len(pool))]
        torch.save(torch.stack(rows), path)
    rows_of_all: Tensor = torch.load(path, weights_only=True)
    refiner = network.refiner
    assert refiner is not None

    def step_loss(step: int) -> Tensor:
        random = torch.Generator().manual_seed(step)
        clips = torch.randint(len(pool), (BATCH,), generator=random).tolist()
        frames = [said.frame(clips, frame) for frame in range(FRAMES)]
        return refiner_loss(
            refiner,
            rows_of_all[clips],
            torch.stack([frame.embeds for frame in frames], dim=1),
            torch.stack([frame.features for frame in frames], dim=1),
            pool.objects_over_time(clips),
        )

    learn(refiner.requires_grad_(True), REFINER, step_loss, work / "refiner.pt")


def main() -> None:
    """Train, write the folder that is shipped, and say how good it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="folder for clips and states")
    parser.add_argument("--out", type=Path, default=Path("src/regard/miniatures/mini-dvis-daq"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    export(train(chosen.work), SETTINGS, chosen.out)
    digest = hashlib.sha256((chosen.out / "model.safetensors").read_bytes()).hexdigest()
    print(f"{chosen.out}: SHA-256 of the weights {digest}")
    for online in (False, True):
        measured = quality(pretrained(chosen.out, online=online), HELD_OUT, FRAMES, SIDE_PX)
        print(
            "online" if online else "offline", json.dumps(measured.to_json()["average_precision"])
        )


if __name__ == "__main__":
    main()
