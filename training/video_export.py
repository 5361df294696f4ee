"""From a trained network to the folder that is shipped, with its quality measured."""

import dataclasses
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regard.evaluation.videos import VideoEvaluation, evaluate_videos
from safetensors.torch import save_file

from regard.clips.clip import video
from regard.clips.files import results
from regard.datasets.shapes import KINDS, write_ytvis
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.pretrained import MODEL_TYPE, Pretrained
from regard.models.dvis_daq.settings import Settings
from training.video_network import weights


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


def quality(model: Pretrained, seeds: range, frames: int, side_px: int) -> VideoEvaluation:
    """YTVIS evaluation of a model on generated clips."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        annotations = write_ytvis(folder, seeds, frames=frames, size_hw=(side_px, side_px))
        return evaluate_videos(list(_results(model, folder, annotations)), annotations)


def _results(model: Pretrained, folder: Path, annotations: Path) -> Iterator[dict[str, Any]]:
    for entry in json.loads(annotations.read_text())["videos"]:
        frames = folder / "JPEGImages" / Path(entry["file_names"][0]).parent
        with video(frames, model=model, keep="maps") as found:
            for result in results(found):
                yield result | {"video_id": entry["id"]}
