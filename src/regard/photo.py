"""What a model looks at in a photo: one call from the file to the pictures."""

import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regard.atomic import write_atomically
from regard.attention import Attention, indices
from regard.errors import MediaError
from regard.geometry import ViewTransform
from regard.intercept.record import record
from regard.media.image import read_image, upright_rgb
from regard.models.family import LoadedModel
from regard.models.registry import DEFAULT, load
from regard.recording import Recording
from regard.render import (
    Look,
    Picture,
    draw_heads,
    draw_heatmap,
    draw_layers,
    draw_matrix,
    draw_overlay,
    draw_summary,
)
from regard.render.look import DEFAULT_LOOK
from regard.selection import Query, choose_layers, resolve
from regard.tokens import Tokens
from regard.tokens.spread import Between

PLACES = ("image", "padding")
"""Where weight can go that is no named token."""

PANEL_PX = 240
"""Longer side of the maps in small panels."""


@dataclass(frozen=True, kw_only=True)
class PhotoAttention:
    """Where a model looks in a photo; shows itself in a notebook.

    Changing what is shown costs no second run: `result.of(layer=3, query=(220, 140))`.
    """

    photo: Image.Image
    """The photo, upright and RGB."""
    view: ViewTransform
    """Where the model's input pixels lie on the photo."""
    model: str
    """Name of the model."""
    recording: Recording
    """Every attention call of the run, with token layouts."""
    layers: tuple[int, ...]
    """Indices of the chosen layers, in `recording.layers`; the last one is shown by default."""
    head: int | None = None
    """The head that is shown; None for the mean of all."""
    query: Query = None
    """The token whose attention is shown."""
    between: Between = "linear"
    """How weights spread over pixels: smoothly, or exactly on each token's cell ("cells")."""
    look: Look = DEFAULT_LOOK
    """Colours and scale."""

    def __post_init__(self) -> None:
        for layer in self.layers:  # a head or query that does not exist is told now
            call = self._call(layer)
            indices(self.head, call.shape[1], f"layer {call.layer!r}: head")
            resolve(call.queries, self.query)

    @property
    def layer(self) -> int:
        """Index of the layer that is shown."""
        return self.layers[-1]

    @property
    def call(self) -> Attention:
        """The recorded call that is shown."""
        return self._call(self.layer)

    def of(self, **changes: Any) -> "PhotoAttention":
        """The same run, seen otherwise: `layer`, `head`, `query`, `between` or `look`."""
        if "layer" in changes:
            changes["layers"] = choose_layers(self.recording, changes.pop("layer"))
        return replace(self, **changes)

    def weights(self, layer: int | None = None) -> Tensor:
        """Weight on each key, (heads, keys) float32; one head if one was chosen."""
        call = self._call(layer)
        index = resolve(call.queries, self.query)
        if index is None:
            return call.received(heads=self.head)[0]
        return call.weights(index, self.head)[0, :, 0].float()

    def heat(self, layer: int | None = None, *, size_hw: tuple[int, int] | None = None) -> Tensor:
        """Weight per pixel of the photo, (height, width) float32; NaN where nothing was seen."""
        return self._spread(self.weights(layer).mean(0), layer, size_hw)

    def overlay(self, layer: int | None = None) -> Picture:
        """The photo with the heat map over it."""
        heat = self.heat(layer)
        return draw_overlay(self.photo, heat, query_xy=self._query_xy, look=self.look)

    def heatmap(self, layer: int | None = None) -> Picture:
        """The heat map by itself."""
        return draw_heatmap(self.heat(layer), query_xy=self._query_xy, look=self.look)

    def heads(self, layer: int | None = None) -> Picture:
        """Every head of the layer, on one scale."""
        weights = replace(self, head=None).weights(layer)
        return draw_heads(
            self.photo,
            self._spread(weights, layer, self._panel_hw(480)),
            title=self.model,
            lines=[f"{self._layer_words(layer)} · query {self._query_words(layer)}"],
            query_xy=self._query_xy,
            look=self.look,
        )

    def layers_by_heads(self) -> Picture:
        """Every head of every layer, at a glance."""
        every = replace(self, head=None)
        rows, size_hw = self._comparable, self._panel_hw(160)
        return draw_layers(
            torch.stack([self._spread(every.weights(i), i, size_hw) for i in rows]),
            layer_names=[f"layer {i}" for i in rows],
            title=self.model,
            lines=[f"query {self._query_words()}"],
            look=self.look,
        )

    def matrix(self, layer: int | None = None) -> Picture:
        """The layer's weights from every query to every key."""
        call = self._call(layer)
        return draw_matrix(
            call.mean(heads=self.head)[0],
            query_names=_names(call.queries),
            key_names=_names(call.keys),
            title=self.model,
            lines=[f"{self._layer_words(layer)} · {self._head_words(layer)}"],
            look=Look(cmap=self.look.cmap, unit="weight"),
        )

    def summary(self) -> Picture:
        """The picture for a talk: photo, overlay, every layer, and what is what."""
        rows = self._comparable
        panels = [self.heat(i, size_hw=self._panel_hw(PANEL_PX)) for i in rows]
        shares = self.call.keys.shares(self.weights().mean(0))
        return draw_summary(
            self.photo,
            self.heat(),
            panels=torch.stack(panels) if len(panels) > 1 else None,
            panel_names=[f"layer {i}" for i in rows] if len(panels) > 1 else None,
            panels_title="Every layer",
            chosen=rows.index(self.layer),
            model=self.model,
            layer=self._layer_words(),
            head=self._head_words(),
            query=self._query_words(),
            prefix={_written(n): float(x) for n, x in shares.items() if n not in PLACES},
            query_xy=self._query_xy,
            look=self.look,
        )

    def save(
        self, folder: str | os.PathLike[str], *, raw: bool = False, heads: bool = False
    ) -> list[Path]:
        """Paths of the pictures that were written into a folder, which is made if need be.

        For each chosen layer an overlay `attn_map_layer_{i}_{name}.png` and a heat map
        `heatmap_layer_{i}_{name}.png`, and one `summary.png`.

        Args:
            folder: Where to.
            raw: Also `attn_raw_layer_{i}.npy`, float32 (heads, queries, keys), every weight.
            heads: Also `heads_layer_{i}_{name}.png` and `layers_by_heads.png`.

        Raises:
            MediaError: The folder cannot be made or written to; whatever is in it is whole.
        """
        folder, summary = Path(folder), self.summary()  # drawn before the folder is made
        _make(folder)
        written = []
        for name, picture in chain(self._pictures(heads), [("summary.png", summary)]):
            picture.save(folder / name)
            written.append(folder / name)
        if raw:
            written += [
                _save_raw(self._call(i), folder / f"attn_raw_layer_{i}.npy") for i in self.layers
            ]
        return written

    def _repr_png_(self) -> bytes:
        return self.summary()._repr_png_()

    @property
    def words(self) -> str:
        """What is shown: layer, head and query."""
        return f"{self._layer_words()}, {self._head_words()}, query {self._query_words()}"

    def __repr__(self) -> str:
        width, height = self.photo.size
        return f"<attention of {self.model} in a photo of {width} x {height} px: {self.words}>"

    def _pictures(self, heads: bool) -> Iterator[tuple[str, Picture]]:
        """Names and pictures of the chosen layers, drawn when they are asked for."""
        for i in self.layers:
            name = f"layer_{i}_{_file_name(self.recording.layers[i])}.png"
            yield f"attn_map_{name}", self.overlay(i)
            yield f"heatmap_{name}", self.heatmap(i)
            if heads:
                yield f"heads_{name}", self.heads(i)
        if heads:
            yield "layers_by_heads.png", self.layers_by_heads()

    def _index(self, layer: int | None) -> int:
        return self.layer if layer is None else choose_layers(self.recording, layer)[0]

    def _call(self, layer: int | None) -> Attention:
        path = self.recording.layers[self._index(layer)]
        return next(call for call in self.recording if call.layer == path)

    def _spread(
        self, weights: Tensor, layer: int | None, size_hw: tuple[int, int] | None
    ) -> Tensor:
        keys = self._call(layer).keys
        return keys.to_pixels(weights, size_hw, between=self.between).cpu()

    @property
    def _comparable(self) -> list[int]:
        """Indices of the layers that have the same tokens and heads as the one shown."""
        return [i for i in range(len(self.recording.layers)) if self._is_like_shown(i)]

    def _is_like_shown(self, layer: int) -> bool:
        other, shown = self._call(layer), self.call
        same = (other.queries, other.keys) == (shown.queries, shown.keys)
        return same and other.shape[1] == shown.shape[1]

    def _panel_hw(self, longer_px: int) -> tuple[int, int]:
        width, height = self.photo.size
        scale = min(1.0, longer_px / max(width, height))
        return max(1, round(height * scale)), max(1, round(width * scale))

    @property
    def _query_xy(self) -> tuple[float, float] | None:
        index = resolve(self.call.queries, self.query)
        if isinstance(self.query, tuple):
            return self.query
        if index is None or index in self.call.queries.named.values():
            return None
        return self.call.queries.center_xy(index)

    def _query_words(self, layer: int | None = None) -> str:
        queries = self._call(layer).queries
        index = resolve(queries, self.query)
        if index is None:
            return "mean of all"
        name = _written(queries.name(index))
        if isinstance(self.query, tuple):
            return f"at ({self.query[0]:g}, {self.query[1]:g}), {name}"
        return name

    def _head_words(self, layer: int | None = None) -> str:
        heads = self._call(layer).shape[1]
        if self.head is None:
            return f"mean of {heads} heads"
        return f"head {self.head % heads} of 0..{heads - 1}"

    def _layer_words(self, layer: int | None = None) -> str:
        return f"layer {self._index(layer)} of 0..{len(self.recording.layers) - 1}"


def image(
    photo: str | os.PathLike[str] | Image.Image,
    *,
    model: str | os.PathLike[str] | LoadedModel = DEFAULT,
    layer: int | str | None = None,
    head: int | None = None,
    query: Query = None,
    between: Between = "linear",
    look: Look = DEFAULT_LOOK,
    short_side_px: int | None = None,
    device: str | torch.device = "cpu",
) -> PhotoAttention:
    """Where a model looks in a photo.

    Args:
        photo: An image file, or a PIL image.
        model: A name out of `regard models`, a local folder, a hub id; or a model that
            `regard.load_model` gave, which saves loading it again.
        layer: Its index (negative from the end), or a glob over module paths; by default the
            model's best layer for this.
        head: Its index; None for the mean.
        query: A token: its index, its name ("cls"), a point (x, y) of the photo in pixels, or
            "mean"; by default "cls" where there is one, else "mean".
        between: "linear" interpolates between tokens, "cells" shows each token's exact region.
        look: Colours and scale.
        short_side_px: Short side of what the model sees, where it takes any size.
        device: Where the model runs; a model that is given stays where it is.

    Raises:
        MediaError: The photo cannot be read.
        ModelNotFound, CheckpointError: The model cannot be loaded.
        SelectionError: No such layer, head or query.
        GeometryError: A point outside of what the model saw.

    Example:
        >>> import regard
        >>> result = regard.image("photo.jpg", layer=8)  # doctest: +SKIP
        >>> result.overlay().save("overlay.png")  # doctest: +SKIP
    """
    loaded = model if isinstance(model, LoadedModel) else load(model, device=device)
    upright = upright_rgb(photo) if isinstance(photo, Image.Image) else read_image(photo)
    prepared = loaded.prepare(upright, short_side_px=short_side_px)
    with torch.inference_mode(), record(loaded.module) as recording:
        loaded.module(**prepared.inputs)
    loaded.lay_out(recording, prepared)
    return PhotoAttention(
        photo=prepared.photo,
        view=prepared.view,
        model=loaded.name,
        recording=recording,
        layers=choose_layers(recording, loaded.default_layer if layer is None else layer),
        head=head,
        query=query,
        between=between,
        look=look,
    )


def blank(side_px: int = 336) -> Image.Image:
    """A plain grey square, to run a model on when the photo does not matter."""
    return Image.new("RGB", (side_px, side_px), (128, 128, 128))


def _names(tokens: Tokens) -> Sequence[str] | None:
    """Names for the axes of a matrix, where there are few enough to read."""
    return [tokens.name(i) for i in range(tokens.count)] if tokens.count <= 64 else None


def _written(name: str) -> str:
    """A token's name as pictures write it."""
    return "CLS" if name == "cls" else name


def _file_name(path: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", path)[:120] or "model"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise MediaError(f"{str(folder)!r} is a file, expected a folder to write to") from error
    except OSError as error:
        raise MediaError(f"cannot make the folder {str(folder)!r}: {error.strerror}") from error


def _save_raw(call: Attention, path: Path) -> Path:
    file = io.BytesIO()
    np.save(file, call.weights()[0].float().cpu().numpy(), allow_pickle=False)
    try:
        write_atomically(path, file.getvalue())
    except OSError as error:
        raise MediaError(f"cannot write {str(path)!r}: {error.strerror}") from error
    return path
