"""Trains ``mini-dvis-daq``: ``python -m training.mini_dvis_daq WORK``.

Three stages, as upstream trains DVIS-DAQ: the segmenter begins as a Mask2Former that learned single
pictures, and its predictor learns on frames of clips; the tracker learns on clips with the
segmenter frozen, the refiner on clips with both frozen. Everything is kept in the folder WORK about
once a minute, so the same command goes on where it was stopped. One thread, CPU.
"""

import argparse
import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor

from regard.datasets.shapes import KINDS, write_ytvis
from regard.evaluation.videos import evaluate_videos
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.pretrained import pretrained
from regard.models.dvis_daq.settings import Settings
from training.video_decoded import DecodedPool, decoded
from training.video_export import export, results
from training.video_loop import Schedule, learn
from training.video_network import begin_refiner, begin_tracker, build
from training.video_pool import FRAMES, Pool, open_pool
from training.video_refiner import refiner_loss, refiner_rows
from training.video_segmented import SegmentedPool, segmented
from training.video_segmenter import predictor_loss, take_segmenter
from training.video_tracker import tracker_loss

CLIPS = 1_024
HELD_OUT = range(1_000_000, 1_000_048)
"""Clips that quality is measured on; the tests take others."""
BATCH = 16
PREDICTOR = Schedule(steps=7_000, rate=8e-4, warm_steps=20)
TRACKER = Schedule(steps=4_000, rate=1e-3, warm_steps=20)
REFINER = Schedule(steps=1_500, rate=1e-3, warm_steps=20)

SETTINGS = Settings(
    max_unseen_frames=16,
    first_frame_threshold=0.45,
    threshold=0.45,
    slot_threshold=0.05,
    min_frames=2,
    short_side_px=256,
    window=8,
)


def train(work: Path) -> DvisDaq:
    """The trained network, in evaluation mode."""
    torch.manual_seed(0)
    network = build(len(KINDS))
    take_segmenter(network)
    network.requires_grad_(False).eval()
    pool = open_pool(work, range(CLIPS))
    clips = decoded(network, pool, SETTINGS, work)
    _predictor(network, pool, clips, work)
    said = segmented(network, clips, work)
    begin_tracker(network)
    _tracker(network, pool, said, work)
    begin_refiner(network)
    network.requires_grad_(False)
    _refiner(network, pool, said, work)
    return network.requires_grad_(False)


def _predictor(network: DvisDaq, pool: Pool, decoded_clips: DecodedPool, work: Path) -> None:
    predictor = network.sem_seg_head.predictor

    def step_loss(step: int) -> Tensor:
        random = torch.Generator().manual_seed(step)
        clips = torch.randint(len(pool), (BATCH,), generator=random).tolist()
        frames = torch.randint(FRAMES, (BATCH,), generator=random).tolist()
        there = pool.objects(clips, frames)
        return predictor_loss(predictor, *decoded_clips.frames(clips, frames), there)

    learn(predictor.requires_grad_(True), PREDICTOR, step_loss, work / "predictor.pt")
    predictor.requires_grad_(False)


def _tracker(network: DvisDaq, pool: Pool, said: SegmentedPool, work: Path) -> None:
    def step_loss(step: int) -> Tensor:
        random = torch.Generator().manual_seed(step)
        clips = torch.randint(len(pool), (BATCH,), generator=random).tolist()
        order = list(range(FRAMES))
        if torch.rand((), generator=random) < 0.5:
            order.reverse()
        return tracker_loss(
            network.tracker,
            [said.frame(clips, frame) for frame in order],
            [pool.objects(clips, frame) for frame in order],
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
    truth = write_ytvis(chosen.work / "held_out", HELD_OUT, frames=FRAMES)
    for way, found in results(pretrained(chosen.out), HELD_OUT).items():
        print(way, json.dumps(evaluate_videos(found, truth).to_json()["average_precision"]))


if __name__ == "__main__":
    main()
