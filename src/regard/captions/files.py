"""The files that a caption's attention is saved as."""

import io
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch

from regard.atomic import write_atomically
from regard.errors import MediaError, SelectionError
from regard.render import draw_overlay

if TYPE_CHECKING:
    from regard.captions.attention import CaptionAttention

Kind = Literal["words", "boxes", "heads", "page", "json", "npz", "gif", "mp4", "figure"]

FORMAT = "regard-caption"


def save(caption: "CaptionAttention", folder: Path, kinds: Sequence[Kind]) -> list[Path]:
    """Write the files of these kinds; each appears whole or not at all.

    Args:
        caption: What to write.
        folder: Made if need be.
        kinds: What; pictures of words from an earlier caption in the folder are replaced.
            "words": `words.png` with a panel a word, and `word_01_dog.png`... by themselves.
            "boxes": `boxes_01_dog.png`..., the regions of most weight outlined. "heads":
            `heads_01_dog.png`... "page": `caption.html`. "json": `caption.json`. "npz":
            `caption.npz`. "gif", "mp4": `caption.gif`, `caption.mp4`. "figure":
            `caption.pdf` and `caption.tex`, for papers.

    Returns:
        Their paths, in the order in which they were written.

    Raises:
        MediaError: The folder cannot be made or written to; what is in it is whole.
        SelectionError: No such kind.
    """
    unknown = [kind for kind in kinds if kind not in get_args(Kind)]
    if unknown:
        raise SelectionError(
            f"no kind of file {unknown[0]!r}; expected {', '.join(get_args(Kind))}"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"cannot make the folder {str(folder)!r}: {error.strerror}") from error
    written = []
    for kind in kinds:
        for name, write in _files(caption, kind):
            write(folder / name)
            written.append(folder / name)
        _remove_earlier(folder, kind, written)
    return written


def _remove_earlier(folder: Path, kind: Kind, written: Sequence[Path]) -> None:
    """Remove pictures of an earlier caption's words, so that two captions never lie mixed."""
    start = {"words": "word", "boxes": "boxes", "heads": "heads"}.get(kind)
    for path in folder.glob(f"{start}_[0-9][0-9]_*.png") if start else ():
        if path not in written:
            path.unlink()


def _files(caption: "CaptionAttention", kind: Kind) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Names, and what writes each; drawn when they are written."""
    names = [f"{i:02d}_{file_name(word)}" for i, word in enumerate(caption.words)]
    if kind == "words":
        yield "words.png", caption.panels().save
        for name, heat in zip(names, caption.heats(), strict=True):
            yield f"word_{name}.png", draw_overlay(caption.photo, heat, look=caption.look).save
    elif kind == "boxes":
        for i, name in enumerate(names):
            yield f"boxes_{name}.png", caption.outlines(i).save
    elif kind == "heads":
        for i, name in enumerate(names):
            yield f"heads_{name}.png", caption.heads(i).save
    elif kind == "page":
        yield "caption.html", _writer(lambda: caption.page().encode())
    elif kind == "json":
        yield "caption.json", _writer(lambda: _json_bytes(as_json(caption)))
    elif kind == "npz":
        yield "caption.npz", _writer(lambda: as_npz(caption))
    elif kind == "figure":
        yield "caption.pdf", caption.figure().save
        yield "caption.tex", _writer(lambda: as_latex(caption).encode())
    else:
        yield f"caption.{kind}", caption.animate


def as_json(caption: "CaptionAttention") -> dict[str, Any]:
    """Everything about the words, as plain numbers, lists and text.

    For each: log-probability, gate, entropy in nats (of the weights shown), centre of the mass
    in photo pixels, and the regions of most weight with their boxes.
    """
    width, height = caption.photo.size
    return {
        "format": FORMAT,
        "version": 1,
        "model": caption.model,
        "caption": caption.text,
        "score": caption.score,
        "ended": caption.replayed.hypothesis.ended,
        "shown": caption.view_words,
        "photo_wh": [width, height],
        "regions": [_box(caption, region) for region in range(caption.layout.count)],
        "words": [_word(caption, step) for step in range(len(caption.words))],
    }


def _word(caption: "CaptionAttention", step: int) -> dict[str, Any]:
    weights = caption.weights()[step]
    gate = caption.replayed.gate
    centres = torch.tensor([caption.layout.center_xy(i) for i in range(caption.layout.count)])
    return {
        "word": caption.words[step],
        "log_probability": caption.log_probabilities[step],
        "gate": None if gate is None else float(gate[step]),
        "entropy_nats": float(torch.special.entr(weights).sum()),
        "head_entropy_nats": caption.entropy()[step].tolist(),
        "center_of_mass_xy": (weights[:, None] * centres).sum(0).tolist(),
        "top_regions": [
            {"region": region, "weight": weight, "box_xyxy": _box(caption, region)}
            for region, weight in caption.top(step)
        ],
        "weights": caption.all_weights()[step].tolist(),
    }


def _box(caption: "CaptionAttention", region: int) -> list[float]:
    return list(caption.layout.box_xyxy(region))


def _json_bytes(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode()


def as_npz(caption: "CaptionAttention") -> bytes:
    """The bytes of an .npz file.

    Arrays: words, log_probabilities, weights (steps, heads, regions) float32, boxes_xyxy
    (regions, 4), entropy_nats (steps, heads), gate (steps; NaN where the model has none).
    """
    steps = len(caption.words)
    gate = caption.replayed.gate
    boxes = [_box(caption, region) for region in range(caption.layout.count)]
    file = io.BytesIO()
    np.savez(
        file,
        words=np.array(caption.words),
        log_probabilities=np.array(caption.log_probabilities, np.float32),
        weights=caption.all_weights().numpy(),
        boxes_xyxy=np.array(boxes, np.float32),
        entropy_nats=caption.entropy().numpy(),
        gate=np.full(steps, math.nan, np.float32) if gate is None else gate.numpy(),
    )
    return file.getvalue()


def as_latex(caption: "CaptionAttention") -> str:
    """A LaTeX figure around `caption.pdf`."""
    return (
        "\\begin{figure}\n"
        "  \\centering\n"
        "  \\includegraphics[width=\\linewidth]{caption.pdf}\n"
        f"  \\caption{{Attention for each word of: ``{_latex(caption.text)}''"
        f" ({_latex(caption.view_words)}).}}\n"
        "\\end{figure}\n"
    )


_LATEX = {char: f"\\{char}" for char in "&%$#_{}"} | {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text)


def _writer(make: Callable[[], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        try:
            write_atomically(path, make())
        except OSError as error:
            raise MediaError(f"cannot write {str(path)!r}: {error.strerror}") from error

    return write


def file_name(word: str) -> str:
    """A word as part of a file's name, safe everywhere; letters of every script stay."""
    return re.sub(r"[^\w-]+", "", word)[:40] or "word"
