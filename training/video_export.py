"""From a trained network to the folder that is shipped, with its quality measured."""

import dataclasses
import json
import tempfile
from pathlib import Path

from safetensors.torch import save_file

from regard.clips.clip import video
from regard.clips.files import save
from regard.datasets.shapes import KINDS, write_ytvis
from regard.evaluation.videos import VideoEvaluation, evaluate_videos
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.pretrained import MODEL_TYPE, Pretrained
from regard.models.dvis_daq.settings import Settings
from regard.runs.results import RESULTS
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
        annotations = write_ytvis(folder / "data", seeds, frames=frames, size_hw=(side_px, side_px))
        for seed in seeds:
            clip = annotations.parent / "JPEGImages" / f"{seed:06d}"
            with video(clip, model=model) as found:
                list(save(found, folder / f"{seed}", instances=0))
        results = [
            entry
            for seed in seeds
            for entry in json.loads((folder / f"{seed}" / RESULTS).read_text())
        ]
        return evaluate_videos(results, annotations)
