"""Generated photos: the same for everybody, and what is said of them is true."""

import hashlib
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from regard.datasets.shapes import COLOURS, KINDS, STUFF, Scene, photo
from regard.errors import InputError

SEEDS = range(12)


def digest(scene: Scene) -> str:
    masks = b"".join(one.mask.tobytes() for one in scene.objects)
    content = scene.image.tobytes() + masks + scene.stuff.tobytes() + scene.caption.encode()
    return hashlib.sha256(content).hexdigest()


def test_a_seed_gives_the_same_bytes_in_every_process() -> None:
    code = (
        "import hashlib; from regard.datasets.shapes import photo; s = photo(3); "
        "masks = b''.join(o.mask.tobytes() for o in s.objects); "
        "content = s.image.tobytes() + masks + s.stuff.tobytes() + s.caption.encode(); "
        "print(hashlib.sha256(content).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(photo(3)) == digest(photo(3))


def test_other_seeds_give_other_photos() -> None:
    assert len({digest(photo(seed, (32, 32))) for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("size_hw", [(128, 128), (90, 160), (160, 90), (33, 47)])
def test_shapes_and_names(size_hw: tuple[int, int]) -> None:
    for seed in SEEDS:
        scene = photo(seed, size_hw, objects=(2, 5))
        assert scene.image.shape == (*size_hw, 3)
        assert scene.image.dtype == scene.stuff.dtype == np.uint8
        assert scene.stuff.max() < len(STUFF)
        assert 2 <= len(np.unique(scene.stuff)) <= 4
        assert 2 <= len(scene.objects) <= 5
        for one in scene.objects:
            assert one.kind == KINDS[one.category_id - 1]
            assert one.colour in COLOURS
            assert one.mask.shape == size_hw
            assert one.mask.dtype == bool


def test_masks_are_disjoint_and_each_object_shows() -> None:
    for seed in range(40):
        scene = photo(seed, objects=(1, 8))
        masks = np.stack([one.mask for one in scene.objects])
        assert masks.sum(0).max() == 1
        assert masks.sum((1, 2)).min() >= 128 * 128 * 0.008


def test_most_scenes_have_objects_before_others() -> None:
    def touches(scene: Scene) -> bool:
        masks = [one.mask for one in scene.objects]
        wider = [np.roll(m, 1, 0) | np.roll(m, 1, 1) for m in masks]
        return any((wider[i] & masks[j]).any() for i in range(len(masks)) for j in range(i))

    assert sum(touches(photo(seed)) for seed in range(20)) >= 10


def test_boxes_are_tight() -> None:
    for seed in SEEDS:
        for one in photo(seed, (70, 100)).objects:
            x0, y0, x1, y1 = (int(edge) for edge in one.box_xyxy)
            inside = one.mask[y0:y1, x0:x1]
            assert inside.sum() == one.mask.sum()
            assert inside[0].any()
            assert inside[-1].any()
            assert inside[:, 0].any()
            assert inside[:, -1].any()


def test_objects_have_the_colour_that_they_are_said_to_have() -> None:
    tones: dict[str, list[np.ndarray]] = {}
    for seed in range(60):
        scene = photo(seed)
        for one in scene.objects:
            tones.setdefault(one.colour, []).append(scene.image[one.mask].mean(0))
    means = {name: np.mean(each, axis=0) for name, each in tones.items()}
    assert set(means) == set(COLOURS)
    centres = np.stack(list(means.values()))
    right = [
        list(means)[np.linalg.norm(centres - tone, axis=1).argmin()] == name
        for name, each in tones.items()
        for tone in each
    ]
    assert np.mean(right) > 0.95


def test_the_panoptic_map_covers_every_pixel_once() -> None:
    for seed in SEEDS:
        scene = photo(seed)
        ids, segments = scene.panoptic()
        assert ids.dtype == np.int32
        assert sorted(segment["id"] for segment in segments) == np.unique(ids).tolist()
        for segment in segments:
            mask = ids == segment["id"]
            if segment["isthing"]:
                one = scene.objects[segment["id"] - 1]
                assert segment["category_id"] == one.category_id
                assert np.array_equal(mask, one.mask)
            else:
                stuff = segment["category_id"] - len(KINDS) - 1
                covered = np.any([one.mask for one in scene.objects], axis=0)
                assert np.array_equal(mask, (scene.stuff == stuff) & ~covered)


def middle(scene: Scene, number: int) -> np.ndarray:
    x0, y0, x1, y1 = scene.objects[number].box_xyxy
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2])


@pytest.mark.parametrize("objects", [(1, 1), (2, 2), (3, 5)])
def test_captions_are_true(objects: tuple[int, int]) -> None:
    for seed in range(30):
        scene = photo(seed, objects=objects)
        assert scene.caption.split() == list(scene.words)
        assert len(scene.words) == len(scene.word_objects)
        told = list(dict.fromkeys(n for n in scene.word_objects if n is not None))
        assert sorted(told) == list(range(len(scene.objects)))
        for number, one in enumerate(scene.objects):
            own = [
                word
                for word, of in zip(scene.words, scene.word_objects, strict=True)
                if of == number
            ]
            assert own == [one.size, one.colour, one.kind]
        for before, after in pairwise(told):
            across, down = middle(scene, after) - middle(scene, before)
            # other objects and the edge cut boxes: their middles may be off by some pixels
            assert (down if "above" in scene.words else across) > -12


def test_two_objects_lie_as_the_caption_says() -> None:
    words = {photo(seed, objects=(2, 2)).words[4] for seed in range(20)}
    assert words == {"left", "above"}


def test_one_object_is_told_with_what_is_behind_it() -> None:
    for seed in SEEDS:
        scene = photo(seed, objects=(1, 1))
        behind = scene.stuff[scene.objects[0].mask]
        assert scene.words[4] == "on"
        assert STUFF.index(scene.words[5]) == np.bincount(behind).argmax()


def test_a_scene_is_the_same_at_another_size() -> None:
    for seed in SEEDS:
        small, large = photo(seed, (64, 64)), photo(seed, (256, 256))
        assert small.caption == large.caption
        for one, other in zip(small.objects, large.objects, strict=True):
            shrunk = other.mask.reshape(64, 4, 64, 4).mean((1, 3)) >= 0.5
            assert (shrunk & one.mask).sum() / (shrunk | one.mask).sum() > 0.9
        shrunk_image = large.image.reshape(64, 4, 64, 4, 3).mean((1, 3))
        assert np.abs(shrunk_image - small.image).mean() < 8  # of 255; fine texture differs


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": -1}, "seed -1"),
        ({"seed": 0, "size_hw": (0, 9)}, "size"),
        ({"seed": 0, "objects": (0, 2)}, "between 1 and 8"),
        ({"seed": 0, "objects": (3, 2)}, "between 1 and 8"),
        ({"seed": 0, "objects": (2, 9)}, "between 1 and 8"),
    ],
)
def test_what_makes_no_scene(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        photo(**arguments)  # type: ignore[arg-type]


def test_there_is_always_room() -> None:
    for seed in range(60):
        assert len(photo(seed, (24, 24), objects=(8, 8)).objects) == 8


def test_a_photo_of_one_pixel() -> None:
    assert photo(0, (1, 1)).image.shape == (1, 1, 3)
