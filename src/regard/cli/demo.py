"""`regard demo`: every kind of picture, from one photo that is already on the machine."""

import sys
from pathlib import Path


def demo(*, out: Path = Path("regard-out/demo"), device: str = "cpu") -> None:
    """Look at a sample photo with the default model, and draw every kind of picture.

    The photo is the portrait of Grace Hopper that comes with matplotlib (US Navy, public domain).

    Parameters
    ----------
    out
        Folder for the pictures.
    device
        Where the model runs.
    """
    from matplotlib import get_data_path

    from regard.models.registry import load
    from regard.photo import image

    loaded = load(device=device, notify=lambda line: print(line, file=sys.stderr))
    photo = Path(get_data_path()) / "sample_data" / "grace_hopper.jpg"
    result = image(photo, model=loaded)
    written = result.save(out, heads=True)
    result.matrix().save(out / "matrix.png")
    worst = max(check.error or 0.0 for check in result.recording.verify())
    print(f"{loaded.name}: {len(result.recording)} layers recorded, {result.words}")
    print(f"weights times values equal the model's own output to {worst:.1e}")
    print(f"{len(written) + 1} pictures in {out.resolve()}")
