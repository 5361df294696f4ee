"""Predictions for many pictures as COCO's evaluation takes them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regard.atomic import write_atomically
from regard.datasets.coco_panoptic import panoptic_annotation, panoptic_json, panoptic_png
from regard.datasets.coco_results import coco_results
from regard.errors import MediaError
from regard.segmentation.categories import Categories
from regard.segmentation.instances import Instances
from regard.segmentation.segments import Segmentation


class CocoOutput:
    """Writes ``panoptic.json`` with the folder ``panoptic`` of PNGs, and ``instances.json``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._annotations: list[Mapping[str, Any]] = []
        self._results: list[Mapping[str, Any]] = []
        self._categories: Categories | None = None

    def add(
        self,
        name: str,
        *,
        segmentation: Segmentation | None,
        instances: Instances,
        categories: Categories,
    ) -> None:
        """Add one picture; its PNG is written at once, the JSONs by `close`.

        Args:
            name: Name of the picture without its ending; COCO's ids are such names as numbers.
            segmentation: Its segments; None where the model predicts boxes only.
            instances: Its objects.
            categories: What the classes are.

        Raises:
            MediaError: The folder cannot be written to.
        """
        image_id = int(name) if name.isascii() and name.isdecimal() else name
        self._categories = categories
        if segmentation is not None:
            png = self._folder / "panoptic" / f"{name}.png"
            self._write(png, panoptic_png(segmentation))
            self._annotations.append(panoptic_annotation(segmentation, image_id, png.name))
        self._results += coco_results(instances, image_id, categories)

    def close(self) -> list[Path]:
        """Paths of the JSON files, written now; none if nothing was added.

        Raises:
            MediaError: The folder cannot be written to.
        """
        if self._categories is None:
            return []
        written = [self._write(self._folder / "instances.json", _json(self._results))]
        if self._annotations:
            content = panoptic_json(self._annotations, self._categories)
            written.append(self._write(self._folder / "panoptic.json", content))
        return written

    def _write(self, path: Path, content: bytes) -> Path:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
        except OSError as error:
            raise MediaError(f"cannot write {str(path)!r}: {error.strerror}") from error
        return path


def _json(rows: list[Mapping[str, Any]]) -> bytes:
    return json.dumps(rows, separators=(",", ":")).encode()
