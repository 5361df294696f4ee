"""A recorded video of two discs, and golden pictures of figures."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from golden_pictures import compare_golden
from made_video import recorded_video
from regard.figures.subject import Subject, choose
from regard.render import Picture
from regard.runs import RecordedVideo, Run

GOLDEN = Path(__file__).parent / "golden"
FILM_TOLERANCE = 6
"""Frames of films have colours in 256 steps; a value on the edge of two can fall to either side."""

Golden = Callable[[Picture | Image.Image, str], None]


@pytest.fixture
def golden(tmp_path: Path) -> Golden:
    """Compare a picture or a frame with ``golden/NAME.png``."""

    def compare(picture: Picture | Image.Image, name: str) -> None:
        is_frame = isinstance(picture, Image.Image)
        tolerance = {"tolerance": FILM_TOLERANCE} if is_frame else {}
        compare_golden(picture, GOLDEN / f"{name}.png", tmp_path, **tolerance)

    return compare


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> RecordedVideo:
    return recorded_video(tmp_path_factory.mktemp("frames") / "discs")


@pytest.fixture(scope="session")
def online(tmp_path_factory: pytest.TempPathFactory) -> RecordedVideo:
    """The same by a model without a refiner."""
    folder = tmp_path_factory.mktemp("frames") / "online"
    return recorded_video(folder, "online", is_offline=False)


@pytest.fixture(scope="session")
def salmon(discs: RecordedVideo) -> Subject:
    """The best instance; it lives in all frames."""
    return choose(discs)[0]


@pytest.fixture(scope="session")
def trout(discs: RecordedVideo) -> Subject:
    """It lives in frames 2 to 5."""
    return choose(discs, instances=[1])[0]


@pytest.fixture
def run(discs: RecordedVideo, online: RecordedVideo, tmp_path: Path) -> Run:
    """A run of both videos, in a folder that keeps no journal."""
    videos = {"discs": discs, "online": online}
    folder = tmp_path / "run"
    folder.mkdir()
    return MadeRun(
        path=folder,
        categories={1: "salmon", 2: "trout"},
        videos=tuple(videos),
        failed={},
        about={},
        _read=videos,
    )


class MadeRun(Run):
    """A run whose videos are there already."""

    def video(self, name: str | int) -> RecordedVideo:
        super().video(name)  # says what is not there
        found: RecordedVideo = self._read[str(name)]
        return found
