"""From a trained network to the folder that is shipped, with its quality measured."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file

from regard.datasets.rle import encode_mask
from regard.datasets.shapes import KINDS, clip
from regard.geometry import ViewTransform
from regard.models.dvis_daq.inference import Observer, VideoRun
from regard.models.dvis_daq.model import DvisDaq, SegmentedFrames
from regard.models.dvis_daq.output import VideoOutput
from regard.models.dvis_daq.preparation import prepare_frame
from regard.models.dvis_daq.pretrained import MODEL_TYPE, Pretrained
from regard.models.dvis_daq.settings import Settings
from training.video_network import weights
from training.video_pool import FRAMES, SIDE_PX


def export(network: DvisDaq, settings: Settings, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors`` (float16)."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights(network), folder / "model.safetensors")
    changed = {
        name: value
        for name, value in dataclasses.asdict(settings).items()
        if value != getattr(Settings(), name)
    }
    config = {"model_type": MODEL_TYPE, "class_names": list(KINDS), "settings": changed}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")


@torch.no_grad()
def results(model: Pretrained, seeds: Iterable[int]) -> dict[str, list[dict[str, Any]]]:
    """What a model finds in generated clips, as YTVIS results: "offline" and "online".

    Both ways take the same frames from the segmenter, so it runs once.
    """
    offline, settings = model.network, model.settings
    online = DvisDaq(offline.backbone, offline.sem_seg_head, offline.tracker, None)
    found: dict[str, list[dict[str, Any]]] = {"offline": [], "online": []}
    for seed in seeds:
        images = clip(seed, FRAMES, (SIDE_PX, SIDE_PX)).images
        frames = [prepare_frame(Image.fromarray(image), settings) for image in images]
        said: SegmentedFrames = offline(torch.stack([pixels for pixels, _ in frames]))
        for way, network in (("offline", offline), ("online", online)):
            run = VideoRun(network, settings, Observer())
            for frame in range(FRAMES):
                run.add_frame(said, frame)
            with run.result() as output:
                found[way] += _entries(seed, output, frames[0][1])
    return found


def _entries(seed: int, output: VideoOutput, view: ViewTransform) -> list[dict[str, Any]]:
    rows = [one.row for one in output.detections]
    masks = [
        output.masks(
            frame,
            rows,
            padded_hw=view.input_hw,
            content_hw=view.input_hw,
            size_hw=view.original_hw,
        ).numpy()
        for frame in range(output.frames)
    ]
    return [
        {
            "video_id": seed,
            "score": one.score,
            "category_id": one.label + 1,
            "refiner_id": one.row,
            "segmentations": [encode_mask(frame[place]) for frame in masks],
        }
        for place, one in enumerate(output.detections)
    ]
