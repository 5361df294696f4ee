"""Where the predictor looked for a subject: frames across, layers downwards."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from regard.errors import SelectionError
from regard.figures.maps import Maps, small_hw
from regard.figures.scaling import FrameScales
from regard.figures.subject import Subject
from regard.render import style
from regard.render.arrays import Floats, Pixels
from regard.render.cells import (
    LEVELS,
    Cells,
    View,
    cells_a_number,
    check_view,
    draw_cells,
    write_numbers,
)
from regard.render.colour import Scale, number
from regard.render.contour import draw_contour
from regard.render.field import Field
from regard.render.legend import Legend, high_words, range_words
from regard.render.look import Look
from regard.render.page import draw_page
from regard.render.picture import Picture
from regard.render.sheet import Sheet
from regard.render.tile import draw_tile
from regard.render.tiles import Tile, Tiles

_LARGEST_WIDTH = 480
_MOST_COLUMNS = 6


@dataclass(frozen=True, kw_only=True)
class DecoderLook:
    """How the maps of a subject are drawn."""

    view: View = "heatmap"
    scaling: str = "across_frames"
    """See `Scaling`."""
    look: Look = Look()  # noqa: RUF009 - it is frozen
    outline: bool = True
    """Whether a line runs around the instance."""

    def __post_init__(self) -> None:
        check_view(self.view)


def draw_decoder(
    subject: Subject,
    photos: Mapping[int, Image.Image],
    layers: Sequence[int] | None = None,
    how: DecoderLook = DecoderLook(),
) -> Picture:
    """The mean of layers and each layer alone, over some frames.

    The scale is made of all frames of the video, whichever are shown.

    Args:
        subject: Whose attention.
        photos: The frames that are shown, by index.
        layers: Layers of the predictor; by default all that were kept.
        how: View, scale, colours.

    Raises:
        SelectionError: A layer that was not kept, temporal weights of an online model, or no
            frame in which the subject lives.
    """
    if not set(photos) & set(subject.life):
        raise SelectionError(
            f"{subject.name} of video {subject.video.id!r} lives in frames {subject.life.start} to "
            f"{subject.life.stop - 1}, none of which is shown"
        )
    rows = _map_rows(subject, photos, layers, how, each=True)
    table = _table(rows, photos)
    return draw_page(
        table.size_wh,
        table.draw,
        _legend(rows),
        title=f"Where the model looks for {subject.words}",
        lines=[about(subject), _how(subject, how, rows)],
    )


def map_tiles(
    subject: Subject,
    photos: Mapping[int, Image.Image],
    layers: Sequence[int] | None = None,
    how: DecoderLook = DecoderLook(),
) -> tuple[Tiles, Legend]:
    """The mean of layers over some frames, and what its colours mean; a part of a page."""
    rows = _map_rows(subject, photos, layers, how, each=False)
    return _table(rows, photos), _legend(rows)


def _map_rows(
    subject: Subject,
    photos: Mapping[int, Image.Image],
    layers: Sequence[int] | None,
    how: DecoderLook,
    *,
    each: bool,
) -> "list[_MapRow]":
    if not set(photos) & set(subject.life):
        raise SelectionError(
            f"{subject.name} of video {subject.video.id!r} lives in frames {subject.life.start} to "
            f"{subject.life.stop - 1}, none of which is shown"
        )
    panel_wh = _panel_wh(subject.video.size_hw, min(len(photos), _MOST_COLUMNS))
    maps = Maps.of(subject, layers)
    return [_MapRow(one, how, panel_wh) for one in (maps.each() if each else [maps])]


def _table(drawn: "Sequence[_MapRow]", photos: Mapping[int, Image.Image]) -> Tiles:
    rows: list[list[Tile]] = []
    names: list[str] = []
    for one in drawn:
        tiles = [one.tile(frame, photo) for frame, photo in sorted(photos.items())]
        for start in range(0, len(tiles), _MOST_COLUMNS):
            rows.append(tiles[start : start + _MOST_COLUMNS])
            names.append("" if start else one.words)
    return Tiles(rows, names)


def _legend(drawn: "Sequence[_MapRow]") -> Legend:
    """What colours mean; ends of the scale stand with the rows where these differ."""
    first, how = drawn[0], drawn[0].how
    is_shared = first.scales.is_shared
    one = is_shared and len({row.scale for row in drawn}) == 1
    return Legend(
        scale=first.scale if one else None,
        look=how.look,
        places=(),
        over_photo=True,
        words=first.scales.unit,
        elsewhere="number above each row" if is_shared else "number below each panel",
        levels=LEVELS if how.view == "grid" else (),
    )


def about(subject: Subject) -> str:
    """Which video, instance and track, for the line below a title."""
    parts = [f"video {subject.video.id}", subject.name.replace("_", " ")]
    if subject.instance is not None and subject.instance.track_id is not None:
        parts.append(f"track {subject.instance.track_id}")
    if subject.instance is not None:
        parts.append(f"lives in frames {subject.life.start} to {subject.life.stop - 1}")
    return " · ".join(parts)


def _how(subject: Subject, how: DecoderLook, drawn: "Sequence[_MapRow]") -> str:
    mixing = {"weighted": "weighted sum", "top": "top object query", "rollout": "tracker rollout"}
    parts = [] if subject.query is not None else [mixing[subject.options.get("mixing", "weighted")]]
    parts += ["masks left open"] if not subject.options.get("masked", True) else []
    parts.append(f"scale {how.scaling.replace('_', ' ')}")
    shared = max(one.cells_a_number for one in drawn)
    if how.view == "heatmap_num":
        parts.append("numbers: place on the scale, 0 to 100")
        parts += [f"largest of {shared} x {shared} cells"] if shared > 1 else []
    return " · ".join(parts)


def _panel_wh(size_hw: tuple[int, int], columns: int) -> tuple[int, int]:
    room = (style.PAGE_WIDTH - 2 * style.MARGIN + style.GAP) / columns - style.GAP
    width = min(room, _LARGEST_WIDTH)
    return int(width), max(1, int(width * size_hw[0] / size_hw[1]))


class _MapRow:
    """The panels of one layer or mean."""

    def __init__(self, maps: Maps, how: DecoderLook, panel_wh: tuple[int, int]) -> None:
        self.maps, self.how, self.panel_wh = maps, how, panel_wh
        self.cells_a_number = 1
        subject = maps.subject
        temporal = how.scaling.startswith("temporal")
        weights = np.asarray(subject.frame_weights()) if temporal else None
        high = how.look.high if isinstance(how.look.high, str) else "max"
        self.scales = FrameScales.of(how.scaling, self._all_values(), weights, high=high)

    @property
    def scale(self) -> Scale:
        """Of all frames, where they share one."""
        return self.scales.scale(min(self.scales.lows))

    @property
    def words(self) -> str:
        """What the row is, with its scale where its frames share one."""
        if not self.scales.is_shared:
            return self.maps.words
        return f"{self.maps.words} · {number(self.scale.low)} to {high_words(self.scale)}"

    def tile(self, frame: int, photo: Image.Image) -> Tile:
        """One panel: the frame with its map, or in grey outside of the subject's life."""
        small = photo.resize(self.panel_wh, Image.Resampling.LANCZOS)
        values = self._values(frame)
        name = f"frame {self.maps.subject.frame_names[frame]}"
        if values is None:
            grey = np.asarray(small.convert("L").convert("RGB"))
            return Tile(grey, name, "it does not live here")
        scale = self.scales.scale(frame)
        pixels, cells = self._painted(np.asarray(small), frame, values, scale)
        image = Image.fromarray(pixels)
        mask = self.maps.subject.mask(frame) if self.how.outline else None
        if mask is not None:
            stencil = Image.fromarray(mask.astype(np.uint8) * 255).resize(self.panel_wh)
            draw_contour(image, np.asarray(stencil) >= 128)

        def write(sheet: Sheet, x: int, y: int) -> None:
            assert cells is not None
            write_numbers(sheet, cells, scale, x, y, self.panel_wh)

        is_numbered = self.how.view == "heatmap_num"
        if is_numbered and cells is not None:
            self.cells_a_number = cells_a_number(cells, self.panel_wh)
        note = "" if self.scales.is_shared else range_words(scale)
        return Tile(np.asarray(image), name, note, scale, write if is_numbered else None)

    def _painted(
        self, photo: Pixels, frame: int, values: Floats, scale: Scale
    ) -> tuple[Pixels, Cells | None]:
        shown = self.scales.shown(frame, values)
        if self.how.view != "heatmap":
            found = self.maps.cells(frame)
            assert found is not None
            cells = replace(found, values=shown)
            return draw_cells(cells, scale, self.how.look, photo, self.how.view), cells
        nowhere = np.zeros(shown.shape, bool)
        field = Field(values=shown, masked=nowhere, padding=nowhere)
        return draw_tile(field, scale, self.how.look, photo=photo, zoom=0.8), None

    def _values(self, frame: int, *, small: bool = False) -> Floats | None:
        """What is drawn: a value for each pixel, or for each cell."""
        if self.how.view != "heatmap":
            cells = self.maps.cells(frame)
            return None if cells is None else cells.values
        height_width = (self.panel_wh[1], self.panel_wh[0])
        return self.maps.smooth(frame, small_hw(height_width) if small else height_width)

    def _all_values(self) -> Iterator[tuple[int, Floats | None]]:
        for frame in self.maps.subject.life:
            yield frame, self._values(frame, small=True)
