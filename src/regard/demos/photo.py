"""A real photo through a real DINOv2: every kind of picture of a vision transformer."""

from pathlib import Path

from matplotlib import get_data_path

from regard.cli.terminal import complain, plain
from regard.models import registry
from regard.photo import image


def run(out: Path, *, device: str = "cpu") -> None:
    """Look at the portrait of Grace Hopper that comes with matplotlib (US Navy, public domain)."""
    loaded = registry.load(device=device, notify=complain)
    photo = Path(get_data_path()) / "sample_data" / "grace_hopper.jpg"
    result = image(photo, model=loaded)
    written = result.save(out, heads=True)
    result.matrix().save(out / "matrix.png")
    errors = [check.error for check in result.recording.verify() if check.error is not None]
    print(f"{loaded.name}: {len(result.recording)} layers recorded, {result.words}")
    checked = f"{len(errors)} layers checked: weights times values equal the model's output"
    print(f"{checked} to {max(errors):.1e}")
    print(f"{len(written) + 1} pictures in {plain(out.resolve())}")
