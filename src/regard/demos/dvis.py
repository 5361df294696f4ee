"""A generated clip through the miniature DVIS-DAQ: tracks, what they looked at, which frame counts.

The clip tells a whole story: objects cross behind one another, one leaves the picture and comes
back.
"""

from pathlib import Path

from PIL import Image

from regard.cli.terminal import plain
from regard.clips.clip import ClipAttention, video
from regard.clips.contact_sheet import draw_contact_sheet
from regard.clips.files import save
from regard.datasets.shapes import clip

MODEL = "mini-dvis-daq"
SEED = 1_000_003
FRAMES = 24
SIDE_PX = 256
_INSTANCES = 2
_SHEET_INSTANCES = 3


def run(out: Path, *, device: str = "cpu") -> None:
    """Write the frames, film the two best instances, and show three of them on one sheet."""
    frames = _frames(out / "frames")
    with video(frames, model=MODEL, device=device) as found:
        written = list(save(found, out, instances=_INSTANCES))
        sheet = draw_contact_sheet(found, instances=_SHEET_INSTANCES)
        written.append(sheet.save(out / "contact_sheet.png"))
        print(f"{MODEL}: {FRAMES} frames, {len(found.attention.recording)} calls recorded")
        for index in range(min(_SHEET_INSTANCES, len(found.instances))):
            print(plain(_told(found, index)))
    print(f"{len(written)} files and the frames in {plain(out.resolve())}")


def _frames(folder: Path) -> Path:
    """The clip as a folder of pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    film = clip(SEED, frames=FRAMES, size_hw=(SIDE_PX, SIDE_PX))
    for index, image in enumerate(film.images):
        Image.fromarray(image).save(folder / f"{index:03d}.png")
    return folder


def _told(found: ClipAttention, index: int) -> str:
    """What an instance is, and the frame that counts most for that."""
    one = found.instance(index)
    words = f"instance {index}: {found.class_name(one.label)}, score {one.score:.2f}"
    weights = found.attention.importance(one.row).weights
    best = int(weights.argmax())
    return f"{words}; frame {best} counts most for its class ({100 * float(weights[best]):.0f} %)"
