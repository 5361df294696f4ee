"""Stage three: the refiner learns on whole clips, with what the frozen tracker made of them.

Its rows are those of inference: the tracks that were found, filled up with chains of frame
queries. Each object is matched to one row by its masks over all frames, as in DVIS; the others
should say "no object". The weights of frames learn through the loss of classes.

Source: Zhang et al. 2023, "DVIS: Decoupled Video Instance Segmentation Framework", section 3.3.
"""

import torch
from torch import Tensor

from regard.models.dvis_daq.inference import Observer, VideoRun
from regard.models.dvis_daq.model import DvisDaq, SegmentedFrames
from regard.models.dvis_daq.refiner import Refiner
from regard.models.dvis_daq.settings import Settings
from training.video_losses import Objects, loss, match


@torch.no_grad()
def refiner_rows(network: DvisDaq, clip: SegmentedFrames, settings: Settings) -> Tensor:
    """What the refiner looks at in a clip, (rows, frames, channels).

    Args:
        network: With a tracker that has learned.
        clip: What the segmenter says about its frames.
        settings: Thresholds; as many rows as there are object queries.
    """
    run = VideoRun(network, settings, Observer())
    try:
        for frame in range(len(clip.mask_features)):
            run.add_frame(clip, frame)
        _, values, _ = run.rows_to_refine()
    finally:
        run.store.close()
    return values[: clip.queries.embeds.shape[1]]


def refiner_loss(
    refiner: Refiner, rows: Tensor, frame_queries: Tensor, features: Tensor, objects: Objects
) -> Tensor:
    """Loss of a batch of clips.

    Args:
        refiner: What learns.
        rows: (clips, rows, frames, channels).
        frame_queries: (clips, frames, queries, channels).
        features: Mask features, (clips, frames, channels, height, width).
        objects: What is in the clips; masks of all frames below one another.
    """
    losses = []
    for index in range(len(rows)):
        refined = refiner(rows[index], frame_queries[index])
        embeds = refiner.mask_embed(refined.embeds)
        masks = torch.einsum("rtc,tchw->rthw", embeds, features[index]).flatten(1, 2)
        there = Objects(
            labels=objects.labels[index : index + 1], shares=objects.shares[index : index + 1]
        )
        found = match(refined.logits[None], masks[None], there)
        losses.append(loss(refined.logits[None], masks[None], there, found))
    return torch.stack(losses).mean()
