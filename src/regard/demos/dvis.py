"""A generated clip through the miniature DVIS-DAQ: tracks, what they looked at, which frame counts.

The clip tells a whole story: objects cross behind one another, one leaves the picture and comes
back.
"""

from pathlib import Path

from PIL import Image

from regard.cli.terminal import plain
from regard.clips.clip import video
from regard.clips.contact_sheet import different_rows, draw_contact_sheet
from regard.clips.files import save
from regard.datasets.shapes import clip
from regard.figures.importance import draw_importance
from regard.figures.subject import choose
from regard.runs import RecordedVideo, open_run

MODEL = "mini-dvis-daq"
SEED = 1_000_012
FRAMES = 24
SIDE_PX = 256
_FILMED = 2
_ON_SHEET = 2


def run(out: Path, *, device: str = "cpu") -> None:
    """Write the frames and a run over them, two films, a sheet of both, and what counts."""
    frames = _frames(out / "frames")
    with video(frames, model=MODEL, device=device) as found:
        written = list(save(found, out / "run", instances=_FILMED))
        print(f"{MODEL}: {FRAMES} frames, {len(found.attention.recording)} calls recorded")
    recorded = open_run(out / "run").video("frames")
    sheet = draw_contact_sheet(recorded, instances=_ON_SHEET, title=MODEL)
    sheet.save(out / "contact_sheet.png")
    photos = {place: frame.image for place, frame in enumerate(recorded.frames())}
    counts = draw_importance(choose(recorded)[0], photos)
    counts.save(out / "importance.png")
    for line in _told(recorded):
        print(plain(line))
    print(f"{len(written) + 2} files and the frames in {plain(out.resolve())}")


def _frames(folder: Path) -> Path:
    """The clip as a folder of pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    film = clip(SEED, frames=FRAMES, size_hw=(SIDE_PX, SIDE_PX))
    for index, image in enumerate(film.images):
        Image.fromarray(image).save(folder / f"{index:03d}.png")
    return folder


def _told(recorded: RecordedVideo) -> list[str]:
    """What each instance is, and the frame that counts most for that."""
    lines = []
    for one in different_rows(recorded)[:_ON_SHEET]:
        weights = recorded.importance(one.row).weights
        best = int(weights.argmax())
        share = f"({100 * float(weights[best]):.0f} %)"
        lines.append(
            f"{one.category}, score {one.score:.2f}, frames {one.life.start} to "
            f"{one.life.stop - 1}; frame {best} counts most for its class {share}"
        )
    return lines
