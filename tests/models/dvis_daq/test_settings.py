"""Settings from upstream's YAML files."""

from pathlib import Path

import pytest

from regard.errors import CheckpointError
from regard.models.dvis_daq.settings import Settings

BASE = """
MODEL:
  PIXEL_MEAN: [1, 2, 3]
  MASK_FORMER:
    TEST: {MAX_NUM: 10, WINDOW_SIZE: 3, TASK: "vis"}
  VIDEO_HEAD: {NUM_NEW_INS: 100, NOISE_FRAME_NUM: 5, OVIS_INFER: True}
INPUT: {MIN_SIZE_TEST: 360}
"""
OFFLINE = """
_BASE_: ../base.yaml
MODEL:
  VIDEO_HEAD: {INFERENCE_SELECT_THRESHOLD: 0.05, OFFLINE_TOPK_NUM: 30, OVIS_INFER: False}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "ovis").mkdir()
    path = tmp_path / "ovis" / "offline.yaml"
    path.write_text(OFFLINE)
    return path


def test_a_file_changes_what_it_is_based_on(config: Path) -> None:
    found = Settings.from_yaml(config, max_tracks=9)
    assert found == Settings(
        new_instances=100, threshold=0.05, refined_tracks=30, min_frames=5, ovis_infer=False,
        max_instances=10, short_side_px=360, pixel_mean=(1.0, 2.0, 3.0), max_tracks=9,
    )  # fmt: skip


def test_a_missing_base_is_named(config: Path) -> None:
    (config.parent.parent / "base.yaml").unlink()
    with pytest.raises(CheckpointError, match=r"base\.yaml cannot be read"):
        Settings.from_yaml(config)


def test_a_circle_of_bases_ends(config: Path) -> None:
    config.write_text("_BASE_: offline.yaml\nMODEL: {}")
    with pytest.raises(CheckpointError, match="based on each other"):
        Settings.from_yaml(config)


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "!!python/object/apply:os.system [ls]"])
def test_bad_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(CheckpointError, match=r"bad\.yaml"):
        Settings.from_yaml(tmp_path / "bad.yaml")


def test_other_tasks_are_refused(tmp_path: Path) -> None:
    (tmp_path / "vps.yaml").write_text("MODEL: {MASK_FORMER: {TEST: {TASK: vps}}}")
    with pytest.raises(CheckpointError, match="'vps'"):
        Settings.from_yaml(tmp_path / "vps.yaml")


@pytest.mark.parametrize("change", [{"window": 0}, {"new_instances": 0}, {"max_tracks": 0}])
def test_impossible_settings_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(CheckpointError, match="expected 1 or more"):
        Settings(**change)  # type: ignore[arg-type]
