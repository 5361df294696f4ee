"""`regard demo`: every kind of picture, from one photo that is already on the machine."""

from pathlib import Path

from regard.cli.folders import require_folder
from regard.cli.terminal import complain, plain


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
    require_folder(out)
    from matplotlib import get_data_path

    from regard.models.registry import load
    from regard.photo import image

    loaded = load(device=device, notify=complain)
    photo = Path(get_data_path()) / "sample_data" / "grace_hopper.jpg"
    result = image(photo, model=loaded)
    written = result.save(out, heads=True)
    result.matrix().save(out / "matrix.png")
    errors = [check.error for check in result.recording.verify() if check.error is not None]
    print(f"{loaded.name}: {len(result.recording)} layers recorded, {result.words}")
    checked = f"{len(errors)} layers checked: weights times values equal the model's output"
    print(f"{checked} to {max(errors):.1e}")
    print(f"{len(written) + 1} pictures in {plain(out.resolve())}")
