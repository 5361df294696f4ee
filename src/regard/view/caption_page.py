"""A caption's attention as a web page in one file, which needs nothing from outside.

Its policy forbids every connection, and every script and style but its own, which are named by
their hash. Words are data: they are set as text, never as markup.
"""

import base64
import hashlib
import io
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from regard.render.colour import colour_table

if TYPE_CHECKING:
    from regard.captions import CaptionAttention

LONGEST_PX = 1024
"""Longer side of the photo in the page."""


def caption_page(caption: "CaptionAttention") -> str:
    """The page: hover or focus a word to see its map, a region to see which words used it."""
    here = files("regard.view")
    script, style, frame = (
        (here / f"caption_page.{ending}").read_text(encoding="utf-8")
        for ending in ("js", "css", "html")
    )
    policy = (
        f"default-src 'none'; img-src data:; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    data = json.dumps(_data(caption), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    parts = {
        "POLICY": policy,
        "STYLE": style,
        "SCRIPT": script,
        "DATA": data.replace("<", "\\u003c"),  # so that no word can end the script element
    }
    for name, text in parts.items():
        frame = frame.replace(f"@@{name}@@", text, 1)
    return frame


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _data(caption: "CaptionAttention") -> dict[str, Any]:
    width, height = caption.photo.size
    size = np.array([width, height, width, height])
    boxes = [caption.layout.box_xyxy(i) / size for i in range(caption.layout.count)]
    gate = caption.replayed.gate
    weights = caption.all_weights()
    return {
        "caption": caption.text,
        "model": caption.model,
        "words": list(caption.words),
        "probabilities": [round(float(np.exp(x)), 4) for x in caption.log_probabilities],
        "gate": None if gate is None else [round(float(x), 4) for x in gate],
        "entropy": caption.entropy().round(decimals=3).tolist(),
        "photo": _jpeg(caption.photo),
        "photo_wh": [width, height],
        "names": [caption.layout.name(i) for i in range(caption.layout.count)],
        "boxes": [[round(float(edge), 5) for edge in box] for box in boxes],
        "weights": [
            [[float(f"{w:.4g}") for w in row] for row in step] for step in weights.tolist()
        ],
        "head": caption.head,
        "colours": np.rint(colour_table(caption.look.cmap)).astype(int).tolist(),
    }


def _jpeg(photo: Image.Image) -> str:
    small = photo.copy()
    small.thumbnail((LONGEST_PX, LONGEST_PX))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
