"""Classes that segments can be of: their names, their numbers in a data set, things and stuff.

A thing can be counted (person, car), each one is a segment of its own; stuff cannot (sky, grass),
all of it is one segment. Source: Kirillov et al. 2019, "Panoptic Segmentation".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from regard.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class Categories:
    """What the class indices of a model mean; the index after the last one is "no object"."""

    names: tuple[str, ...]
    """Name of each class index; "" where the model has an index that no class uses."""
    is_thing: tuple[bool, ...]
    """Whether each class can be counted."""
    dataset_ids: tuple[int, ...]
    """Number of each class in its data set, as result files write it."""

    def __post_init__(self) -> None:
        lengths = {len(self.names), len(self.is_thing), len(self.dataset_ids)}
        if len(lengths) > 1:
            raise CheckpointError(f"categories of {sorted(lengths)} lengths; expected one")

    def __len__(self) -> int:
        return len(self.names)

    def name(self, label: int) -> str:
        """Name of a class index, as people read it."""
        return self.names[label] or f"class {label}"

    @classmethod
    def of(cls, count: int, names: Mapping[int, str] | None = None) -> Self:
        """Categories of a model with ``count`` classes, "no object" not among them.

        COCO, Cityscapes and the generated shapes are known by their count and, where names are
        given, by these. Other models have ``names``, or numbers, and all classes are taken for
        things.

        Args:
            count: Length of the class axis without "no object".
            names: The checkpoint's own names, by class index.
        """
        coco = (_coco_by_id(250), _coco_by_id(91), _coco(133), _coco(80))
        for ids, own, things in (*coco, _CITYSCAPES, _shapes()):
            if len(own) == count and _agrees(own, names):
                return cls(names=own, is_thing=things, dataset_ids=ids)
        own = tuple(_given(names, i) for i in range(count))
        return cls(names=own, is_thing=(True,) * count, dataset_ids=tuple(range(count)))


_Known = tuple[tuple[int, ...], tuple[str, ...], tuple[bool, ...]]


def coco_panoptic() -> dict[int, tuple[str, bool]]:
    """COCO's 133 panoptic classes: number -> name, and whether it is a thing."""
    things, stuff = (_parsed(text) for text in (_THINGS, _STUFF))
    return {i: (name, True) for i, name in things} | {i: (name, False) for i, name in stuff}


def _coco(count: int) -> _Known:
    """The first classes in the order of their numbers, without gaps (detectron2, Mask2Former)."""
    rows = list(coco_panoptic().items())[:count]
    ids, named = zip(*rows, strict=True)
    names, things = zip(*named, strict=True)
    return tuple(ids), tuple(names), tuple(things)


def _coco_by_id(count: int) -> _Known:
    """Classes by their numbers in COCO, with gaps (DETR); things are numbered up to 90."""
    known = coco_panoptic()
    names = tuple(known.get(i, ("", False))[0] for i in range(count))
    return tuple(range(count)), names, tuple(i <= _LAST_THING for i in range(count))


def _shapes() -> _Known:
    """Kinds and backgrounds of the scenes that the miniatures are trained on."""
    from regard.datasets.shapes import KINDS, STUFF  # which writes files with categories

    names = (*KINDS, *STUFF)
    return tuple(range(1, len(names) + 1)), names, tuple(name in KINDS for name in names)


def _agrees(own: Sequence[str], names: Mapping[int, str] | None) -> bool:
    """Whether names that the checkpoint has are those of the data set, where it has any."""
    told = {i: name for i, name in (names or {}).items() if not name.startswith("LABEL_")}
    if not told:
        return True
    same = sum(_plain(name) == _plain(own[i]) for i, name in told.items() if 0 <= i < len(own))
    return 2 * same > sum(bool(name) for name in own)


def _plain(name: str) -> str:
    return name.lower().replace("-merged", "").replace("-other", "").replace("_", " ")


def _given(names: Mapping[int, str] | None, index: int) -> str:
    name = (names or {}).get(index, "")
    return "" if name.startswith("LABEL_") else name


def _parsed(text: str) -> list[tuple[int, str]]:
    rows = (row.strip().partition(" ") for row in text.replace("\n", " ").split(","))
    return [(int(number), name) for number, _, name in rows]


_LAST_THING = 90

# Source: the categories of COCO's panoptic annotations, 2017.
_THINGS = """
1 person, 2 bicycle, 3 car, 4 motorcycle, 5 airplane, 6 bus, 7 train, 8 truck, 9 boat, 10
traffic light, 11 fire hydrant, 13 stop sign, 14 parking meter, 15 bench, 16 bird, 17 cat, 18
dog, 19 horse, 20 sheep, 21 cow, 22 elephant, 23 bear, 24 zebra, 25 giraffe, 27 backpack, 28
umbrella, 31 handbag, 32 tie, 33 suitcase, 34 frisbee, 35 skis, 36 snowboard, 37 sports ball, 38
kite, 39 baseball bat, 40 baseball glove, 41 skateboard, 42 surfboard, 43 tennis racket, 44
bottle, 46 wine glass, 47 cup, 48 fork, 49 knife, 50 spoon, 51 bowl, 52 banana, 53 apple, 54
sandwich, 55 orange, 56 broccoli, 57 carrot, 58 hot dog, 59 pizza, 60 donut, 61 cake, 62 chair,
63 couch, 64 potted plant, 65 bed, 67 dining table, 70 toilet, 72 tv, 73 laptop, 74 mouse, 75
remote, 76 keyboard, 77 cell phone, 78 microwave, 79 oven, 80 toaster, 81 sink, 82 refrigerator,
84 book, 85 clock, 86 vase, 87 scissors, 88 teddy bear, 89 hair drier, 90 toothbrush
"""

_STUFF = """
92 banner, 93 blanket, 95 bridge, 100 cardboard, 107 counter, 109 curtain, 112 door-stuff, 118
floor-wood, 119 flower, 122 fruit, 125 gravel, 128 house, 130 light, 133 mirror-stuff, 138 net,
141 pillow, 144 platform, 145 playingfield, 147 railroad, 148 river, 149 road, 151 roof, 154
sand, 155 sea, 156 shelf, 159 snow, 161 stairs, 166 tent, 168 towel, 171 wall-brick, 175
wall-stone, 176 wall-tile, 177 wall-wood, 178 water-other, 180 window-blind, 181 window-other,
184 tree-merged, 185 fence-merged, 186 ceiling-merged, 187 sky-other-merged, 188 cabinet-merged,
189 table-merged, 190 floor-other-merged, 191 pavement-merged, 192 mountain-merged, 193
grass-merged, 194 dirt-merged, 195 paper-merged, 196 food-other-merged, 197
building-other-merged, 198 rock-merged, 199 wall-other-merged, 200 rug-merged
"""

_CITYSCAPES_NAMES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
    "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train",
    "motorcycle", "bicycle",
)  # fmt: skip
_CITYSCAPES: _Known = (
    (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33),
    _CITYSCAPES_NAMES,
    tuple(index >= 11 for index in range(19)),
)
