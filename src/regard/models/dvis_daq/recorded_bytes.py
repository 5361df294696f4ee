"""How many bytes a recording of a video will take, told before the run.

All sizes follow from the network, the frames and the settings but two: how many tracks live in a
frame, and how many instances the result has. Here as many live as a frame has object queries, and
the result has as many as it may have.
"""

from collections.abc import Iterator

from torch import nn

from regard.geometry import ViewTransform
from regard.models.dvis_daq.deformable import DeformableAttention
from regard.models.dvis_daq.dinov2 import PATCH_PX
from regard.models.dvis_daq.layers import MultiheadAttention
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.pixel_decoder import LEVEL_STRIDES_PX
from regard.models.dvis_daq.settings import Settings
from regard.models.dvis_daq.story import Keep
from regard.models.dvis_daq.swin import Block, Swin
from regard.models.dvis_daq.vit_adapter import VitAdapter
from regard.sample import CHANNELS, HEADS, ROWS

_FLOAT = 4
_STORY, _NAME = 1100, 12
"""Bytes of a call's entry in a file's header, and of each name of a query in it."""


def recorded_bytes(
    model: DvisDaq,
    view: ViewTransform,
    settings: Settings,
    keep: Keep,
    layers: tuple[int, ...],
    frames: int,
) -> int:
    """About how many bytes the recording of a video takes.

    Args:
        model: The network.
        view: Where the input's pixels lie on a frame; says how large the input is.
        settings: How it is run.
        keep: What is kept.
        layers: Layers of the predictor that are kept.
        frames: Of the video.
    """
    if not frames:
        return 0
    sizes = _Sizes(model, view.input_hw, settings, frames)
    if keep == "maps":
        return frames * sizes.tracks * _FLOAT * sum(map(sizes.cells, layers))
    if keep == "predicted":
        return sum(sizes.predictor(layers)) + sum(sizes.predicted())
    every = range(len(model.sem_seg_head.predictor.transformer_ffn_layers))
    parts = (sizes.backbone(), sizes.decoder(), sizes.predictor(every), sizes.predictor_self())
    return sum(sum(part) for part in (*parts, sizes.tracker(), sizes.refiner()))


class _Sizes:
    """Counts that sizes are made of; each method gives the bytes of some calls, all frames."""

    def __init__(
        self, model: DvisDaq, input_hw: tuple[int, int], settings: Settings, frames: int
    ) -> None:
        self._model, self._input_hw, self._frames = model, input_hw, frames
        self._windows = -(-frames // settings.window)
        self._queries, self._channels = model.learned_queries.shape
        self._candidates = min(settings.new_instances or self._queries, self._queries)
        attention = (m for m in model.tracker.modules() if isinstance(m, MultiheadAttention))
        self._heads = next(attention).heads
        self._slots = len(model.tracker.bg_slots.weight)
        self.tracks = min(self._queries, settings.max_tracks or self._queries)
        self._rows = max(self._candidates, self.tracks)
        self._found = min(settings.max_instances, self._rows)

    def cells(self, layer: int) -> int:
        """Cells of the feature level that a layer of the predictor looks at."""
        return self._cells(LEVEL_STRIDES_PX[layer % len(LEVEL_STRIDES_PX)])

    def predictor(self, layers: tuple[int, ...] | range) -> Iterator[int]:
        """Cross-attention of the predictor: q, k, and a byte of mask for each weight."""
        for layer in layers:
            cells = self.cells(layer)
            mask = self._queries * cells
            yield self._frames * (self._dot(self._queries, cells) + mask) + self._per_window()

    def predictor_self(self) -> Iterator[int]:
        """Self-attention of the predictor."""
        for _ in self._model.sem_seg_head.predictor.transformer_ffn_layers:
            yield self._frames * self._dot(self._queries, self._queries) + self._per_window()

    def decoder(self) -> Iterator[int]:
        """Deformable attention of the pixel decoder."""
        queries = sum(map(self._cells, LEVEL_STRIDES_PX))
        yield from self._deformable(self._model.sem_seg_head.pixel_decoder, queries)

    def backbone(self) -> Iterator[int]:
        """Attention of the backbone, where it has any."""
        backbone = self._model.backbone
        if isinstance(backbone, Swin):
            yield from self._swin(backbone)
        elif isinstance(backbone, VitAdapter):
            tokens = 1 + self._cells(PATCH_PX)
            width = backbone.channels[0]
            for _ in backbone.vit_module.blocks:
                yield self._frames * self._dot(tokens, tokens, width) + self._per_window()
            yield from self._deformable(backbone, sum(map(self._cells, LEVEL_STRIDES_PX)))

    def tracker(self) -> Iterator[int]:
        """All attention of the tracker, of every query."""
        layers = len(self._model.tracker.transformer_ffn_layers)
        later = self._frames - 1
        slots = self.tracks + self._slots
        yield layers * self._tracked(self._queries)
        queries = self.tracks + self._candidates
        yield later * layers * self._tracked(queries)
        yield later * layers * (self._dot(slots, self._queries) + self._header(slots))
        yield later * layers * (_FLOAT * slots**2 + self._header(2 * slots))

    def refiner(self) -> Iterator[int]:
        """All attention of the refiner, of every row."""
        if self._model.refiner is None:
            return
        rows = self._rows
        for _ in self._model.refiner.transformer_ffn_layers:
            yield self._frames * (2 * self._dot(rows, rows) + self._dot(rows, self._queries))
            yield 3 * self._header(0)

    def predicted(self) -> Iterator[int]:
        """Rows of the instances of the result in tracker and refiner, as weights."""
        found, heads = self._found, self._heads
        layers, later = len(self._model.tracker.transformer_ffn_layers), self._frames - 1
        header = self._header(found)
        looks = found * heads * self._queries * _FLOAT + header
        slots = found * (self.tracks + self._slots) * _FLOAT + self._header(found + self.tracks)
        yield self._frames * (layers * looks + found * self._queries * _FLOAT + header)
        yield later * layers * (looks + slots)
        if self._model.refiner is None:
            return
        for _ in self._model.refiner.transformer_ffn_layers:
            yield found * (heads * self._frames**2 * _FLOAT + self._header(0))
            yield self._frames * found * heads * (self._rows + self._queries) * _FLOAT + 2 * header

    def _tracked(self, queries: int) -> int:
        """Cross- and self-attention of a layer of the tracker in one frame."""
        cross = self._dot(queries, self._queries) + self._header(queries)
        return cross + self._dot(queries, queries) + self._header(2 * queries)

    def _deformable(self, part: nn.Module, queries: int) -> Iterator[int]:
        """Points, x and y, and their weights."""
        for module in part.modules():
            if isinstance(module, DeformableAttention):
                points = queries * module.heads * module.levels * module.points * 3 * _FLOAT
                keys = queries if module.levels > 1 else self._cells(PATCH_PX)
                yield self._frames * (points + self._sample(queries, keys)) + self._per_window()

    def _swin(self, backbone: Swin) -> Iterator[int]:
        for stage, (layer, width) in enumerate(
            zip(backbone.layers, backbone.channels, strict=True)
        ):
            for block in (m for m in layer.modules() if isinstance(m, Block)):
                height, across = (
                    -(-side // (4 * 2**stage) // block.window) * block.window
                    for side in self._input_hw
                )
                tokens = height * across
                # what keeps apart tokens that a shift brought together differs by window
                masks = tokens * block.window**2 * block.attn.heads * _FLOAT if block.shift else 0
                looks = self._dot(tokens, tokens, width)
                yield self._frames * (looks + masks) + self._per_window()

    def _cells(self, stride_px: int) -> int:
        height, width = self._input_hw
        return -(-height // stride_px) * -(-width // stride_px)

    def _dot(self, queries: int, keys: int, channels: int | None = None) -> int:
        """What q and k take, and the sample of what was made of them."""
        both = _FLOAT * (queries + keys) * (channels or self._channels)
        return both + self._sample(queries, keys)

    def _sample(self, queries: int, keys: int) -> int:
        heads = min(self._heads, HEADS)
        return _FLOAT * heads * CHANNELS * (keys + min(queries, ROWS))

    def _header(self, names: int) -> int:
        return _STORY + _NAME * names

    def _per_window(self) -> int:
        return self._windows * _STORY
