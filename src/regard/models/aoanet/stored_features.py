"""Reading features and boxes that were extracted before: folders, LMDB, the original TSV.

Rows of an image are found by its id: the name of the photo without its ending, or the number at
its end, as in ``COCO_val2014_000000391895.jpg``. No pickled object is ever read.
"""

import base64
import binascii
import io
import math
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from regard.errors import FormatError, GeometryError, MissingDependency, ModelNotFound
from regard.models.aoanet.features import Features, whole_photo_grid
from regard.tokens.regions import RegionTokens

LARGEST_BYTES = 256 * 2**20
"""Most that the features of one photo may take."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class StoredFeatures:
    """Features on disk.

    Attributes:
        features: A folder of ID.npz or ID.npy, an .lmdb, or the original .tsv.
        boxes: A folder of ID.npy or an .lmdb: (regions, 4), x0 y0 x1 y1 in original pixels. A
            .tsv holds them itself.
        image_features: Likewise, (width,) of whole photos; only for models with mean_feats=0.
        grid_hw: Rows and columns, where features are of grid cells and stored flat.
    """

    features: str | os.PathLike[str]
    boxes: str | os.PathLike[str] | None = None
    image_features: str | os.PathLike[str] | None = None
    grid_hw: tuple[int, int] | None = None

    def of(self, photo: Path, size_wh: tuple[int, int]) -> Features:
        """Features of a photo.

        Raises:
            ModelNotFound: There are none under its name.
            FormatError: The file is damaged or holds something else.
            GeometryError: Numbers of rows and boxes differ, or where rows lie is not known.
        """
        photo_hw, place = (size_wh[1], size_wh[0]), Path(self.features)
        if place.suffix == ".tsv":
            return _from_tsv(place, photo, photo_hw)
        found = _array(place, photo, "features", key="feat")
        rows = torch.from_numpy(found.astype(np.float32)).flatten(0, -2)
        image = None
        if self.image_features is not None:
            stored = _array(
                Path(self.image_features), photo, "features of whole photos", key="feat"
            )
            image = torch.from_numpy(stored.astype(np.float32).reshape(-1))
        if self.boxes is not None:
            boxes = _array(Path(self.boxes), photo, "boxes")
            return Features(rows, _regions(boxes, photo_hw, len(rows)), image)
        grid_hw = found.shape[:2] if found.ndim == 3 else self.grid_hw
        if grid_hw is None:
            raise GeometryError(_no_geometry(photo, len(rows)))
        if math.prod(grid_hw) != len(rows):
            raise GeometryError(
                f"{photo.name}: {len(rows)} rows of features are no grid of {grid_hw[0]} x "
                f"{grid_hw[1]} cells"
            )
        return Features(rows, whole_photo_grid((grid_hw[0], grid_hw[1]), photo_hw), image)


def _no_geometry(photo: Path, rows: int) -> str:
    return (
        f"{photo.name}: {rows} rows of features, and nothing says where they lie. For regions "
        "give their boxes (--boxes); for a grid give its rows and columns (--grid 14x14). A grid "
        f"is not guessed: {rows} regions are no picture"
    )


def _regions(boxes: Array, photo_hw: tuple[int, int], rows: int) -> RegionTokens:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise GeometryError(f"boxes have shape {boxes.shape}, expected (regions, 4)")
    if len(boxes) != rows:
        raise GeometryError(
            f"{rows} rows of features, but {len(boxes)} boxes: both must be of the same photo, in "
            "the same order"
        )
    return RegionTokens.of(boxes, photo_hw)


def ids_of(photo: Path) -> list[str]:
    """Names under which a photo's features may be stored, the most exact first.

    >>> ids_of(Path("COCO_val2014_000000391895.jpg"))
    ['COCO_val2014_000000391895', '391895']
    """
    number = re.search(r"(\d+)$", photo.stem)
    short = str(int(number[1])) if number else photo.stem
    return list(dict.fromkeys([photo.stem, short]))


def _array(place: Path, photo: Path, what: str, *, key: str | None = None) -> Array:
    if place.suffix == ".lmdb":
        name, data = _from_lmdb(place, photo)
    else:
        name, data = _from_folder(place, photo)
    if data is None:
        raise ModelNotFound(
            f"no {what} of {photo.name} in {place}: expected {' or '.join(ids_of(photo))} "
            f"as .npz or .npy; extract them, or rename the photo to their id"
        )
    return parse_array(data, name, key)


def _from_folder(place: Path, photo: Path) -> tuple[str, bytes | None]:
    if not place.is_dir():
        raise ModelNotFound(f"{place} is no folder, .lmdb or .tsv with stored features")
    for name in ids_of(photo):
        for ending in (".npz", ".npy"):
            path = place / f"{name}{ending}"
            if path.is_file():
                if path.stat().st_size > LARGEST_BYTES:
                    raise FormatError(f"{path} has {path.stat().st_size:,} bytes, too many")
                return str(path), path.read_bytes()
    return str(place), None


def _from_lmdb(place: Path, photo: Path) -> tuple[str, bytes | None]:
    try:
        import lmdb
    except ImportError as error:
        raise MissingDependency(
            f"reading {place} needs lmdb: pip install 'regard[captions]'"
        ) from error
    if not place.exists():
        raise ModelNotFound(f"there is no {place}")
    try:
        with (
            lmdb.open(str(place), subdir=place.is_dir(), readonly=True, lock=False) as store,
            store.begin() as reading,
        ):
            for name in ids_of(photo):
                if (data := reading.get(name.encode())) is not None:
                    return f"{place}[{name}]", bytes(data)
    except lmdb.Error as error:
        raise FormatError(f"{place} is no readable LMDB: {error}") from error
    return str(place), None


def parse_array(data: bytes, name: str, key: str | None = None) -> Array:
    """The numbers in the bytes of an .npy or .npz file; of the latter those called ``key``.

    Sizes are checked against the bytes that are there before any memory is taken for them.

    Raises:
        FormatError: It is damaged, holds objects, or claims more than it has.
    """
    try:
        if data[:2] == b"PK":
            data = _member(data, key)
        return _npy(data)
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, EOFError, SyntaxError) as error:
        raise FormatError(f"{name} is no readable array: {error}; extract it again") from error


def _member(data: bytes, key: str | None) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [entry.filename for entry in archive.infolist()]
        wanted = f"{key}.npy" if key and f"{key}.npy" in names else names[0] if names else ""
        if key and wanted != f"{key}.npy" and len(names) != 1:
            raise ValueError(f"it holds {', '.join(names) or 'nothing'}, expected {key}")
        if archive.getinfo(wanted).file_size > LARGEST_BYTES:
            raise ValueError(f"{wanted} unpacks to {archive.getinfo(wanted).file_size:,} bytes")
        return archive.read(wanted)


def _npy(data: bytes) -> Array:
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"version {version} of the format")
    shape, by_columns, dtype = read(file)
    if dtype.kind not in "fiu":
        raise ValueError(f"it holds {dtype}, expected numbers")
    count, rest = math.prod(shape), len(data) - file.tell()
    if min(shape, default=1) < 0 or count * dtype.itemsize != rest:
        raise ValueError(
            f"shape {shape} of {dtype} needs {count * dtype.itemsize} bytes, not {rest}"
        )
    array = np.frombuffer(data, dtype, count, file.tell())
    return array.reshape(shape, order="F" if by_columns else "C")


def _from_tsv(place: Path, photo: Path, photo_hw: tuple[int, int]) -> Features:
    """One row of the bottom-up features as their authors published them."""
    wanted = set(ids_of(photo))
    if not place.is_file():
        raise ModelNotFound(f"there is no {place}")
    for number, fields in _rows(place):
        if fields[0] not in wanted:
            continue
        if len(fields) != 6:
            raise FormatError(f"{place}, line {number}: {len(fields)} columns, expected 6")
        try:
            width, height, count = (int(field) for field in fields[1:4])
            boxes = _floats(fields[4]).reshape(count, 4)
            rows = _floats(fields[5]).reshape(count, -1)
        except (ValueError, binascii.Error) as error:
            raise FormatError(f"{place}, line {number}: {error}; extract it again") from error
        if (height, width) != photo_hw:
            raise GeometryError(
                f"{photo.name} has {photo_hw[1]} x {photo_hw[0]} px, but its boxes are of a photo "
                f"of {width} x {height} px: give the photo that the features were extracted from"
            )
        return Features(torch.from_numpy(rows.copy()), _regions(boxes, photo_hw, count))
    raise ModelNotFound(f"no row of {photo.name} in {place}: expected image_id in {sorted(wanted)}")


def _rows(place: Path) -> Iterator[tuple[int, list[str]]]:
    with place.open(encoding="ascii", errors="replace") as file:
        number = 0
        while line := file.readline(LARGEST_BYTES):
            number += 1
            yield number, line.rstrip("\n").split("\t")


def _floats(text: str) -> Array:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4")
