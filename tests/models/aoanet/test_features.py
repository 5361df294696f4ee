"""Features from every kind of store, and what is refused."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from aoanet import OPTIONS
from regard.errors import FormatError, GeometryError, ModelNotFound
from regard.models.aoanet.features import Features, as_trained, whole_photo_grid
from regard.models.aoanet.options import Options
from regard.models.aoanet.stored_features import StoredFeatures, ids_of, parse_array
from regard.tokens.regions import RegionTokens

SIZE_WH = (640, 427)
PHOTO = Path("COCO_val2014_000000391895.jpg")
ROWS = np.random.default_rng(0).random((5, 10), np.float32)
BOXES = np.array([[i * 20, i * 10, i * 20 + 50 + i, i * 10 + 60] for i in range(5)], np.float32)


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> Callable[..., StoredFeatures]:
    (tmp_path / "att").mkdir()
    (tmp_path / "box").mkdir()

    def write(rows: bytes, boxes: np.ndarray | None = BOXES, **more: object) -> StoredFeatures:
        ending = "npz" if rows[:2] == b"PK" else "npy"
        (tmp_path / "att" / f"391895.{ending}").write_bytes(rows)
        if boxes is None:
            return StoredFeatures(tmp_path / "att", **more)  # type: ignore[arg-type]
        np.save(tmp_path / "box" / "391895.npy", boxes)
        return StoredFeatures(tmp_path / "att", tmp_path / "box", **more)  # type: ignore[arg-type]

    return write


@pytest.mark.parametrize(
    "rows", [npz(feat=ROWS), npz(x=ROWS), npy(ROWS), npy(np.asfortranarray(ROWS))]
)
def test_folders(store: Callable[..., StoredFeatures], rows: bytes) -> None:
    found = store(rows).of(PHOTO, SIZE_WH)
    np.testing.assert_array_equal(found.regions, ROWS)
    assert found.layout == RegionTokens.of(BOXES, (427, 640))


def test_lmdb(tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    for name, data in (("att.lmdb", npz(feat=ROWS)), ("box.lmdb", npy(BOXES))):
        with lmdb.open(str(tmp_path / name), map_size=2**20) as place, place.begin(write=True) as t:
            t.put(b"391895", data)
    stored = StoredFeatures(tmp_path / "att.lmdb", tmp_path / "box.lmdb")
    found = stored.of(PHOTO, SIZE_WH)
    np.testing.assert_array_equal(found.regions, ROWS)
    with pytest.raises(ModelNotFound, match=r"no features of other\.jpg"):
        stored.of(Path("other.jpg"), SIZE_WH)


def tsv(path: Path, *, width: int = 640, rows: str | None = None) -> Path:
    text = rows or base64.b64encode(ROWS.tobytes()).decode()
    boxes = base64.b64encode(BOXES.tobytes()).decode()
    other = f"7\t9\t9\t5\t{boxes}\t{text}\n"
    path.write_text(other + f"391895\t{width}\t427\t5\t{boxes}\t{text}\n")
    return path


def test_the_original_tsv(tmp_path: Path) -> None:
    found = StoredFeatures(tsv(tmp_path / "x.tsv")).of(PHOTO, SIZE_WH)
    np.testing.assert_array_equal(found.regions, ROWS)
    assert isinstance(found.layout, RegionTokens)
    with pytest.raises(GeometryError, match="of a photo of 320 x 427 px"):
        StoredFeatures(tsv(tmp_path / "x.tsv", width=320)).of(PHOTO, SIZE_WH)
    with pytest.raises(FormatError, match="line 2"):
        StoredFeatures(tsv(tmp_path / "x.tsv", rows="!!!")).of(PHOTO, SIZE_WH)
    with pytest.raises(ModelNotFound, match="no row of"):
        StoredFeatures(tsv(tmp_path / "x.tsv")).of(Path("8.jpg"), SIZE_WH)


def test_a_grid_says_so_itself_or_is_told(store: Callable[..., StoredFeatures]) -> None:
    grid = np.arange(2 * 3 * 10, dtype=np.float32).reshape(2, 3, 10)
    found = store(npz(feat=grid), None).of(PHOTO, SIZE_WH)
    assert found.layout == whole_photo_grid((2, 3), (427, 640))
    assert found.regions[4].tolist() == grid[1, 1].tolist()
    flat = npz(feat=grid.reshape(6, 10))
    assert store(flat, None, grid_hw=(2, 3)).of(PHOTO, SIZE_WH).layout == found.layout
    with pytest.raises(GeometryError, match="no grid of 3 x 3"):
        store(flat, None, grid_hw=(3, 3)).of(PHOTO, SIZE_WH)


def test_a_grid_is_never_guessed(store: Callable[..., StoredFeatures]) -> None:
    """36 regions are not 6 x 6 cells."""
    rows = npz(feat=np.ones((36, 10), np.float32))
    with pytest.raises(GeometryError, match=r"nothing says where they lie.*--boxes.*--grid"):
        store(rows, None).of(PHOTO, SIZE_WH)


def test_numbers_that_do_not_fit_are_refused(store: Callable[..., StoredFeatures]) -> None:
    with pytest.raises(GeometryError, match="5 rows of features, but 4 boxes"):
        store(npz(feat=ROWS), BOXES[:4]).of(PHOTO, SIZE_WH)
    with pytest.raises(GeometryError, match=r"shape \(4, 5\)"):
        store(npz(feat=ROWS), BOXES.T).of(PHOTO, SIZE_WH)
    found = store(npz(feat=ROWS)).of(PHOTO, SIZE_WH)
    with pytest.raises(GeometryError, match=r"width 10, the model takes 2048 \(att_feat_size\)"):
        as_trained(found, Options(vocab_size=3, rnn_size=8))
    with pytest.raises(GeometryError, match="NaN"):
        Features(torch.full((1, 2), torch.nan), RegionTokens.of([(0, 0, 1, 1)], (2, 2)))


def test_missing_features_name_what_was_looked_for(store: Callable[..., StoredFeatures]) -> None:
    with pytest.raises(ModelNotFound, match=r"expected street as \.npz or \.npy"):
        store(npz(feat=ROWS)).of(Path("street.jpg"), SIZE_WH)


def test_ids() -> None:
    assert ids_of(Path("a/000000041888.jpg")) == ["000000041888", "41888"]
    assert ids_of(Path("cat.png")) == ["cat"]


def bomb() -> bytes:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"
    header += b" " * (118 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 but no archive",
        bomb(),
        npz(feat=ROWS)[:-30],
        npy(ROWS)[:-1],
        npy(ROWS) + b"x",
        npz(a=ROWS, b=ROWS),
        b"\x93NUMPY\x01\x00\x10\x00{'descr': 1}    \n",
    ],
)
def test_damaged_arrays_are_one_error(data: bytes) -> None:
    with pytest.raises(FormatError, match="no readable array"):
        parse_array(data, "x.npz", "feat")


def test_objects_are_never_unpickled() -> None:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="expected numbers"):
        parse_array(file.getvalue(), "x.npy")


def test_boxes_become_features_largest_first() -> None:
    options = Options.from_opt({**OPTIONS, "use_box": 1, "norm_att_feat": 1})
    boxes = [(0, 0, 10, 10), (0, 0, 40, 30), (5, 5, 25, 25)]
    rows = torch.from_numpy(ROWS[:3].copy())
    found = as_trained(Features(rows, RegionTokens.of(boxes, (30, 40))), options)
    assert found.regions.shape == (3, 15)
    assert isinstance(found.layout, RegionTokens)
    assert found.layout.boxes_xyxy == tuple(tuple(map(float, boxes[i])) for i in (1, 2, 0))
    torch.testing.assert_close(found.regions[1, :10], rows[2] / rows[2].norm())
    torch.testing.assert_close(
        found.regions[1, 10:], torch.tensor([5 / 40, 5 / 30, 25 / 40, 25 / 30, 400 / 1200])
    )
    grid = Features(torch.ones(4, 10), whole_photo_grid((2, 2), (30, 40)))
    with pytest.raises(GeometryError, match="use_box"):
        as_trained(grid, options)
