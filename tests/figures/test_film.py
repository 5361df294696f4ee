"""Films, frame by frame."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from made_video import FRAMES, disc, frame_weights, photo
from regard.errors import SelectionError
from regard.figures.film import FilmLook, film
from regard.figures.film_canvas import panel_wh
from regard.figures.photo_store import PhotoStore
from regard.figures.subject import Subject, choose
from regard.render.look import Look
from regard.render.tile import muted
from regard.runs import RecordedVideo

Golden = Any


PLAIN = FilmLook()


def frames_of(subject: Subject, how: FilmLook = PLAIN, **more: Any) -> list[Image.Image]:
    return list(film(subject, subject.video.frames(), None, how, **more))


def test_a_frame_has_attention_line_class_score_number_and_scale(
    salmon: Subject, golden: Golden
) -> None:
    found = frames_of(salmon)
    assert len(found) == FRAMES
    assert {frame.size for frame in found} == {(536, 408)}, "four times as large, sides even"
    golden(found[3], "film")


def test_panels_and_the_curve_with_its_cursor(salmon: Subject, golden: Golden) -> None:
    found = frames_of(salmon, FilmLook(panels=True, importance=True, width_px=240))
    golden(found[5], "film_panels")
    changed = np.asarray(found[2]) != np.asarray(found[5])
    below = changed[220:].any((0, 2))
    assert 4 < below.sum() < 12, "below the panels the cursor alone moves"


def test_outside_of_its_life_frames_are_grey(trout: Subject) -> None:
    found = frames_of(trout, FilmLook(width_px=268))
    for frame, picture in enumerate(found):
        pixels = np.asarray(picture).astype(int)[40:170]
        colourful = int(np.ptp(pixels, axis=2).max())
        assert (colourful > 60) == (frame in range(2, 6))


def test_the_line_is_around_the_disc_and_attention_in_it(salmon: Subject) -> None:
    width = 134  # one pixel of the film for each of the video
    for frame, picture in enumerate(frames_of(salmon, FilmLook(width_px=width))):
        pixels = np.asarray(picture)[:90, :134].astype(int)
        ground = np.asarray(muted(photo(frame))).astype(int)
        white = (pixels == 255).all(2)
        white[:28] = False  # words are written there
        assert white.any()
        assert disc(0, frame)[white].all()
        added = np.abs(pixels - ground).sum(2)
        added[:28] = added[white | (pixels == 20).all(2)] = 0  # the line has a dark edge
        assert disc(0, frame)[np.unravel_index(added.argmax(), added.shape)]


def test_two_runs_beside_each_other_share_a_scale(
    salmon: Subject, online: RecordedVideo, golden: Golden
) -> None:
    other = choose(online)[0]
    found = frames_of(salmon, FilmLook(width_px=240), beside=(other, ("offline", "online")))
    golden(found[4], "film_beside")
    left, right = np.asarray(found[4])[34:, :240], np.asarray(found[4])[34:, 256:496]
    same = (left[30:160] == right[30:160]).all(2)
    assert same.mean() > 0.98, "the runs differ in the refiner alone"


def test_frames_by_weight_each_followed_by_the_plain_one(salmon: Subject) -> None:
    found = frames_of(salmon, FilmLook(reorder=True, width_px=134))
    assert len(found) == 2 * FRAMES
    order = np.argsort(-frame_weights()[0].numpy(), kind="stable")
    for place, frame in enumerate(order):
        plain = np.asarray(found[2 * place + 1])[30:90, :134]
        assert np.array_equal(plain, np.asarray(photo(int(frame)))[30:90])
        assert not np.array_equal(np.asarray(found[2 * place])[30:90, :134], plain)


def test_each_frame_on_its_own_scale(salmon: Subject) -> None:
    found = frames_of(salmon, FilmLook(scaling="per_frame", look=Look(high="max")))
    assert len({frame.size for frame in found}) == 1


def test_an_object_query_can_be_filmed(discs: RecordedVideo) -> None:
    assert len(frames_of(choose(discs, query=2)[0])) == FRAMES


def test_weights_of_frames_need_an_offline_model(online: RecordedVideo) -> None:
    for how in (FilmLook(importance=True), FilmLook(scaling="temporal_per_frame")):
        with pytest.raises(SelectionError, match="online model"):
            frames_of(choose(online)[0], how)


def test_panels_suit_the_video() -> None:
    assert panel_wh((720, 1280), 1) == (1280, 720)
    assert panel_wh((1080, 1920), 1) == (1920, 1080)
    assert panel_wh((90, 134), 1) == (536, 360)
    assert panel_wh((720, 1280), 4) == (468, 264)
    assert panel_wh((720, 1280), 1, width_px=641) == (642, 360)


def test_stored_photos_come_back_in_any_order() -> None:
    store = PhotoStore()
    for frame in range(4):
        store.add(photo(frame))
    for frame in (2, 0, 3):
        assert np.array_equal(np.asarray(store[frame]), np.asarray(photo(frame)))
    with pytest.raises(IndexError):
        store[4]
    store.close()
