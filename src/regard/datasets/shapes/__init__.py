"""A generated world: photos and videos of shapes before landscapes, with exact ground truth.

Everything follows from a seed and needs no file: pixels, masks, panoptic maps, tracks, captions.
The miniatures are trained on it, and checked on scenes that training never sees.
"""

from regard.datasets.shapes.background import STUFF
from regard.datasets.shapes.clip import Clip, Identity, clip
from regard.datasets.shapes.colours import COLOURS
from regard.datasets.shapes.kinds import KINDS
from regard.datasets.shapes.photo import Scene, Segment, ShapeObject, photo
from regard.datasets.shapes.write import write_coco, write_coco_panoptic, write_ytvis

__all__ = [
    "COLOURS",
    "KINDS",
    "STUFF",
    "Clip",
    "Identity",
    "Scene",
    "Segment",
    "ShapeObject",
    "clip",
    "photo",
    "write_coco",
    "write_coco_panoptic",
    "write_ytvis",
]
