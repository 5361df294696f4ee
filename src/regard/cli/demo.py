"""`regard demo`: each system from end to end, on what every machine has."""

import importlib
from pathlib import Path
from typing import Literal

from regard.cli.folders import require_folder


def demo(
    system: Literal["photo", "detr", "mask2former", "dvis", "aoanet", "partcrafter"] = "photo",
    /,
    *,
    out: Path | None = None,
    device: str = "cpu",
) -> None:
    """Run a system from end to end, and leave a folder of pictures.

    Parameters
    ----------
    system
        "photo": a real DINOv2 on a portrait of Grace Hopper that comes with matplotlib (US Navy,
        public domain). "detr" and "mask2former": mini-detr and mini-mask2former on a generated
        scene: its segments, and where the query of each object looked. "dvis": mini-dvis-daq on a
        generated clip in which objects hide one another, leave and come back. "aoanet":
        mini-aoanet captions a generated scene. "partcrafter": mini-partcrafter makes a generated
        toy again in 3D parts, and which pixels shaped which.
    out
        Folder for the pictures; by default regard-out/demo/SYSTEM.
    device
        Where the model runs.
    """
    folder = out or Path("regard-out", "demo", system)
    require_folder(folder)
    importlib.import_module(f"regard.demos.{system}").run(folder, device=device)
