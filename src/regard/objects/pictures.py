"""Pictures of what object queries found, and of where they looked."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from regard.errors import GeometryError, MediaError
from regard.objects.attention import ObjectAttention
from regard.objects.encoder import encoder_heat
from regard.render import Dot, Panel, Picture, draw_panels, draw_segments
from regard.render.arrays import Flags
from regard.render.palette import distinct
from regard.tokens.pyramid import PyramidTokens

_PANEL_PX = 480
"""Longer side of the maps in panels."""
_MOST_OBJECTS = 24
"""Objects in one picture, best first; the picture says how many more there are."""


@dataclass(frozen=True)
class ObjectPictures:
    """Draws an `ObjectAttention`."""

    of: ObjectAttention

    def segments(self) -> Picture:
        """The panoptic picture: every segment in its colour, with class, score and query.

        Raises:
            GeometryError: The model predicts boxes only.
        """
        segmentation = self.of.segmentation
        if segmentation is None:
            raise GeometryError(f"{self.of.model} predicts boxes, no masks; see `queries`")
        names = {s.id: f"{s.name} {s.score:.2f}" for s in segmentation.segments}
        count = len(segmentation.segments)
        return draw_segments(
            self.of.photo,
            segmentation.ids,
            names,
            title=self.of.model,
            lines=[f"{count} segments" if count != 1 else "1 segment"],
        )

    def masks(self) -> Picture:
        """The mask of every query that found something, in a grid."""
        shown = self._objects()
        rows = [shown[i : i + 4] for i in range(0, len(shown), 4)]
        return draw_panels(
            self.of.photo,
            [[self._object_panel(query, mask=True) for query in row] for row in rows],
            title=self.of.model,
            lines=[self._count_words("masks")],
        )

    def queries(self) -> Picture:
        """The classic figure: for each object, where its query looks and what box it drew."""
        shown = self._objects()
        layer, count = self.of.layers[-1], self._count_words("queries", 8)
        rows = []
        for query in shown[:8]:
            one = replace(self.of, queries=(query,), asked=query)
            name = f"query {query}: {one.words_of(query)}"
            rows.append((self._heat_panel(one, layer, name=name), query))
        rows_of_four = [rows[i : i + 4] for i in range(0, len(rows), 4)]
        panels = []
        for row in rows_of_four:
            panels.append([heat for heat, _ in row])
            panels.append([replace(self._object_panel(q, mask=False), name="") for _, q in row])
        return draw_panels(
            self.of.photo,
            panels,
            title=self.of.model,
            lines=[f"{self._layer_words(layer)} · {self._head_words} · {count}"],
            look=self.of.look,
        )

    def overview(self, most: int = 4) -> Picture:
        """A row for each object: the object, where its query looked, and what shaped its mask.

        The last column is the mask head's map, or for Mask2Former the layer without its mask.

        Args:
            most: Objects at most, best first; things before stuff.
        """
        things = self.of.predictions.categories.is_thing
        labels = self.of.predictions.object_labels
        shown = sorted(self._objects(), key=lambda query: not things[int(labels[query])])
        return draw_panels(
            self.of.photo,
            [self._overview_row(query) for query in shown[:most]],
            title=self.of.model,
            lines=[f"{self._layer_words(self.of.layers[-1])} · {self._head_words}"],
            look=self.of.look,
        )

    def _overview_row(self, query: int) -> list[Panel]:
        one = replace(self.of, queries=(query,), asked=query)
        layer = self.of.layers[-1]
        found = self._object_panel(query, mask=True)
        heats = [self._heat_panel(one, layer, name="where it looks")]
        if self.of.joint is not None:
            heat = one.joint_heat(size_hw=self._size_hw).sum(0)
            heats.append(Panel(name="the mask head's map, all heads", heat=heat))
        elif self.of.run.resets:
            name = "without the layer's mask"
            heats.append(self._heat_panel(one, layer, masked=False, name=name))
        return [found, *(replace(heat, mask=found.mask) for heat in heats)]

    def layers(self, layers: tuple[int, ...] | None = None) -> Picture:
        """Where the queries shown look, at every decoder layer.

        Layers that read feature maps in turn stand in rows of one turn, lowest resolution first.

        Args:
            layers: Indices; by default all.
        """
        chosen = range(len(self.of.run.cross_layers)) if layers is None else layers
        turns: list[list[int]] = []
        for layer in chosen:
            first = (
                not turns or self.of.keys(layer).stride_px == self.of.keys(turns[0][0]).stride_px
            )
            if first and (not turns or self._several_levels):
                turns.append([])
            turns[-1].append(layer)
        if not self._several_levels:
            turns = [turns[0][i : i + 3] for i in range(0, len(turns[0]), 3)]
        return draw_panels(
            self.of.photo,
            [[self._heat_panel(self.of, layer) for layer in row] for row in turns],
            query_xy=self.of.query_xy,
            title=self.of.model,
            lines=[f"{self.of.words} · {self._head_words}"],
            look=self.of.look,
        )

    def masked_and_unmasked(self) -> Picture:
        """The layers shown, unmasked above and masked below, from the one forward pass.

        Source: the attention figure in the appendix of Cheng et al. 2022 (Mask2Former). Here
        both rows are of one model: the upper one opens this layer's mask only.
        """
        layers = self.of.layers
        rows = [
            [self._heat_panel(self.of, layer, masked=masked) for layer in layers]
            for masked in (False, True)
        ]
        return draw_panels(
            self.of.photo,
            rows,
            row_names=[
                "without the layer's mask (same q and k)",
                "with the mask, as the model ran",
            ],
            query_xy=self.of.query_xy,
            title=self.of.model,
            lines=[f"{self.of.words} · {self._head_words}"],
            look=self.of.look,
        )

    def heads(self, layer: int | None = None) -> Picture:
        """Every head of a decoder layer, by default the last one shown."""
        layer = self.of.layers[-1] if layer is None else layer
        every = replace(self.of, head=None)
        weights = every.weights(layer)
        heats = every.keys(layer).to_pixels(weights, self._size_hw, between=every.between).cpu()
        masked = self._blocked_pixels(layer)
        panels = [Panel(name=f"head {i}", heat=h, masked=masked) for i, h in enumerate(heats)]
        return draw_panels(
            self.of.photo,
            [panels[i : i + 4] for i in range(0, len(panels), 4)],
            query_xy=self.of.query_xy,
            title=self.of.model,
            lines=[f"{self.of.words} · {self._layer_words(layer)}"],
            look=self.of.look,
        )

    def joint(self) -> Picture:
        """The mask head's map, head by head, each with its share of the query's weight.

        Raises:
            GeometryError: The model has no such map.
        """
        heats, shares = self.of.joint_heat(size_hw=self._size_hw), self.of.joint_shares()
        panels = [
            Panel(name=f"head {i}: {100 * float(share):.1f} %", heat=heat)
            for i, (heat, share) in enumerate(zip(heats, shares, strict=True))
        ]
        return draw_panels(
            self.of.photo,
            [panels[i : i + 4] for i in range(0, len(panels), 4)],
            query_xy=self.of.query_xy,
            title=self.of.model,
            lines=[f"{self.of.words} · the mask head's map: all heads share one softmax"],
            look=self.of.look,
        )

    def encoder(self, x: float, y: float, layer: int = -1) -> Picture:
        """Where the encoder looks from a point of the photo.

        For Mask2Former: the points that its pixel decoder reads there, and the same as maps,
        level by level.
        """
        call = self.of.encoder_call(layer)
        several = isinstance(call.keys, PyramidTokens)
        which = "last layer" if layer == -1 else f"layer {layer}"
        heat = self.of.encoder_heat(x, y, layer, size_hw=self._size_hw)
        rows = [[Panel(name="all levels" if several else "", heat=heat)]]
        if isinstance(call.keys, PyramidTokens):
            rows = [[self._sampled_panel(x, y, layer), *rows[0]]]
            rows.append(
                [
                    Panel(
                        name=f"stride {stride:g}",
                        square=distinct(level),
                        heat=encoder_heat(call, (x, y), self._size_hw, self.of.between, level),
                    )
                    for level, (stride, _) in enumerate(call.keys.strides_px)
                ]
            )
        return draw_panels(
            self.of.photo,
            rows,
            query_xy=(x, y),
            title=self.of.model,
            lines=[
                f"{'pixel decoder' if several else 'encoder'}, {which}, "
                f"from x {x:.0f}, y {y:.0f} px · mean of {call.shape[1]} heads"
            ],
            look=self.of.look,
        )

    def _sampled_panel(self, x: float, y: float, layer: int) -> Panel:
        points = self.of.sampled_points(x, y, layer)
        largest = float(points.weights.max())
        dots = [
            Dot(
                xy=(float(at[0]), float(at[1])),
                size=float(weight) / largest,
                colour=distinct(level),
            )
            for head, weights in zip(points.xy, points.weights, strict=True)
            for at, weight, level in zip(head, weights, points.levels.tolist(), strict=True)
        ]
        count = points.weights.numel()
        return Panel(name=f"its {count} sampled points, larger for more weight", dots=dots)

    def summary(self) -> Picture:
        """The object, its mask, and where its query looked in the layers shown."""
        first = self._object_panel(self.of.queries[0], mask=False)
        found = replace(first, name=self.of.words if len(self.of.queries) == 1 else "")
        panels = [found]
        mask = self.of.mask()
        if mask is not None:
            panels = [replace(found, mask=mask.numpy(), box_xyxy=None)]
            if self.of.box_xyxy() is not None and len(self.of.queries) == 1:
                panels = [replace(panels[0], box_xyxy=self.of.box_xyxy())]
        panels += [self._heat_panel(self.of, layer) for layer in self.of.layers]
        return draw_panels(
            self.of.photo,
            [panels[i : i + 3] for i in range(0, len(panels), 3)],
            query_xy=self.of.query_xy,
            title=self.of.model,
            lines=[f"{self.of.words} · {self._head_words}"],
            look=self.of.look,
        )

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Paths of the pictures that were written into a folder, which is made if need be.

        Raises:
            MediaError: The folder cannot be made or written to.
        """
        folder = Path(folder)
        made = dict(self._each())  # drawn before the folder is made
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MediaError(f"cannot make the folder {str(folder)!r}: {error.strerror}") from error
        for name, picture in made.items():
            picture.save(folder / name)
        return [folder / name for name in made]

    def _each(self) -> list[tuple[str, Picture]]:
        pictures = [("summary.png", self.summary()), ("query_layers.png", self.layers())]
        pictures.append(("query_heads.png", self.heads()))
        if self.of.found:
            pictures.append(("queries.png", self.queries()))
        if self.of.segmentation is not None:
            pictures.append(("segments.png", self.segments()))
            if self.of.found:
                pictures.append(("masks.png", self.masks()))
        if self.of.joint is not None:
            pictures.append(("query_mask_head.png", self.joint()))
        if self.of.run.resets:
            pictures.append(("query_masked_unmasked.png", self.masked_and_unmasked()))
        return pictures

    def _objects(self) -> tuple[int, ...]:
        if not self.of.found:
            raise GeometryError("no query found an object; lower the threshold")
        return self.of.found[:_MOST_OBJECTS]

    def _object_panel(self, query: int, *, mask: bool) -> Panel:
        one = replace(self.of, queries=(query,), asked=query)
        colour: Any = distinct(self.of.found.index(query) if query in self.of.found else 0)
        own = one.mask() if mask else None
        return Panel(
            name=f"query {query}: {one.words_of(query)}",
            mask=None if own is None else own.numpy(),
            box_xyxy=one.box_xyxy(query) or _around(one),
            colour=colour,
        )

    def _heat_panel(
        self, of: ObjectAttention, layer: int, *, masked: bool = True, name: str | None = None
    ) -> Panel:
        notes = []
        if masked and of.was_reset(layer):
            notes.append("mask was empty, so dropped")
        lost = of.padding_share(layer, masked=masked)
        if lost >= 0.001:
            notes.append(f"{100 * lost:.1f} % on padding")
        return Panel(
            name=self._layer_words(layer) if name is None else name,
            note=" · ".join(notes),
            heat=of.heat(layer, masked=masked, size_hw=self._size_hw),
            masked=replace(self, of=of)._blocked_pixels(layer) if masked else None,
        )

    def _blocked_pixels(self, layer: int) -> Flags | None:
        """Where the layer's mask forbade to look; None if the model has no such masks."""
        if not self.of.run.resets:
            return None
        return self.of.blocked_pixels(layer, size_hw=self._size_hw).numpy()

    @property
    def _several_levels(self) -> bool:
        strides = {self.of.keys(i).stride_px for i in range(len(self.of.run.cross_layers))}
        return len(strides) > 1

    @property
    def _size_hw(self) -> tuple[int, int]:
        width, height = self.of.photo.size
        scale = min(1.0, _PANEL_PX / max(width, height))
        return max(1, round(height * scale)), max(1, round(width * scale))

    def _layer_words(self, layer: int) -> str:
        count = len(self.of.run.cross_layers)
        stride = self.of.keys(layer).stride_px[0]
        return f"decoder layer {layer % count} of 0..{count - 1}, stride {stride:g}"

    @property
    def _head_words(self) -> str:
        heads = self.of.call(self.of.layers[-1]).shape[1]
        return f"mean of {heads} heads" if self.of.head is None else f"head {self.of.head}"

    def _count_words(self, what: str, most: int = _MOST_OBJECTS) -> str:
        count = len(self.of.found)
        return f"{count} {what}" if count <= most else f"the best {most} of {count} {what}"


def _around(one: ObjectAttention) -> tuple[float, float, float, float] | None:
    """Box around a query's mask, where the model predicts no box."""
    from regard.segmentation.instances import boxes_around

    mask = one.mask()
    if mask is None or not mask.any():
        return None
    x0, y0, x1, y1 = map(float, boxes_around(torch.as_tensor(mask)[None])[0])
    return x0, y0, x1, y1
