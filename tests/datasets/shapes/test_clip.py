"""Generated videos: identities that are hidden, leave, and come back."""

import numpy as np
import pytest

from regard.datasets.shapes import KINDS, Clip, clip
from regard.errors import InputError

SEEDS = range(16)


def seen_px(film: Clip) -> np.ndarray:
    counts: np.ndarray = film.masks.sum((2, 3))
    return counts


def test_shapes() -> None:
    film = clip(1, frames=5, size_hw=(48, 64), objects=(3, 3))
    assert film.images.shape == (5, 48, 64, 3)
    assert film.images.dtype == np.uint8
    assert film.masks.shape == (5, 3, 48, 64)
    assert film.masks.dtype == bool
    assert film.masks.sum(1).max() == 1
    assert len(film.objects) == 3
    assert all(KINDS[one.category_id - 1] == one.kind for one in film.objects)


def test_a_seed_gives_the_same_video() -> None:
    one, other = clip(2, size_hw=(40, 40)), clip(2, size_hw=(40, 40))
    assert np.array_equal(one.images, other.images)
    assert np.array_equal(one.masks, other.masks)
    assert not np.array_equal(one.images, clip(3, size_hw=(40, 40)).images)


def test_objects_leave_and_come_back() -> None:
    returned = 0
    for seed in SEEDS:
        film = clip(seed, size_hw=(48, 48), objects=(3, 4))
        gone = seen_px(film) == 0
        returned += any(
            not gone[0, n] and gone[3:5, n].all() and not gone[-1, n]
            for n in range(len(film.objects))
        )
    assert returned >= 13  # in the others one is hidden by another at the end


def test_objects_hide_others_and_are_parted_again() -> None:
    hidden = 0
    for seed in SEEDS:
        seen = seen_px(clip(seed, frames=9, size_hw=(48, 48), objects=(2, 2)))
        ends = np.minimum(seen[0], seen[-1])
        hidden += bool((seen[4] < 0.7 * ends).any())
    assert hidden >= 10


def test_objects_move_a_little_from_frame_to_frame() -> None:
    film = clip(5, frames=30, size_hw=(64, 64))
    overlap = (film.masks[1:] & film.masks[:-1]).sum((2, 3))
    either = (film.masks[1:] | film.masks[:-1]).sum((2, 3))
    large = either > 200
    assert large.sum() > 30
    assert (overlap[large] / either[large]).mean() > 0.6
    assert (film.images[0] != film.images[-1]).mean() > 0.5


def test_all_begin_in_view_or_come_later() -> None:
    for seed in SEEDS:
        seen = seen_px(clip(seed, size_hw=(48, 48), objects=(2, 3)))
        assert seen[0].min() > 0
        assert seen.any(0).all()


@pytest.mark.parametrize("frames", [1, 2])
def test_few_frames(frames: int) -> None:
    assert clip(0, frames=frames, size_hw=(32, 32)).images.shape[0] == frames


def test_no_frames() -> None:
    with pytest.raises(InputError, match="frames is 0"):
        clip(0, frames=0)
