"""A caption's attention as a web page in one file.

Words are data: they are set as text, never as markup.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from regard.render.colour import colour_table
from regard.view.page import image_address, one_file

if TYPE_CHECKING:
    from regard.captions.attention import CaptionAttention


def caption_page(caption: "CaptionAttention") -> str:
    """The page: hover or focus a word to see its map, a region to see which words used it."""
    return one_file("caption", title=caption.text or "An empty caption", data=_data(caption))


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
        "photo": image_address(caption.photo),
        "photo_wh": [width, height],
        "names": [caption.layout.name(i) for i in range(caption.layout.count)],
        "boxes": [[round(float(edge), 5) for edge in box] for box in boxes],
        "weights": [
            [[float(f"{w:.4g}") for w in row] for row in step] for step in weights.tolist()
        ],
        "head": caption.head,
        "colours": np.rint(colour_table(caption.look.cmap)).astype(int).tolist(),
    }
