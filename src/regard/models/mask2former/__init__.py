"""Mask2Former: object queries that attend only to where their own mask was, layer by layer.

Source: Cheng et al. 2022, "Masked-attention Mask Transformer for Universal Image Segmentation".
The cross-attention layers read the feature maps in turn, lowest resolution first: strides 32, 16,
8, 32, ... as measured by their number of keys.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from regard.deformable import DeformableAttention
from regard.intercept.record import record
from regard.models.checkpoint import read_config, read_weights
from regard.models.detection_input import USUAL, preprocessing_in, shortened
from regard.models.detr import categories_of, cross_layers
from regard.models.family import LoadedModel, Prepared, RecordedCall
from regard.models.hugging_face import build
from regard.models.mask2former.official import converted, is_official
from regard.models.mask2former.segmenter import Mask2FormerSegmenter
from regard.models.objects import ObjectRun, measured_grid
from regard.models.preprocessing import Preprocessing, require_rgb
from regard.pyramid import PyramidTokens
from regard.segmentation.panoptic_mask2former import THRESHOLD, panoptic_mask2former
from regard.segmentation.queries import QueryPredictions
from regard.segmentation.segments import Segmentation
from regard.tokens import Tokens

_COUNTS = "num_batches_tracked"
_DECODER = "model.transformer_module.decoder"
_CROSS = re.compile(r"transformer_module\.decoder\.layers\.\d+\.cross_attn$")
_SELF = re.compile(r"transformer_module\.decoder\.layers\.\d+\.self_attn$")
_PIXELS = re.compile(r"pixel_level_module\.decoder\.encoder\.layers\.\d+\.self_attn$")


class Mask2FormerFamily:
    """Loads, prepares, runs and lays out Mask2Former."""

    name = "mask2former"
    threshold = THRESHOLD

    def load(self, folder: Path, *, name: str, licence: str, origin: str) -> LoadedModel:
        """A checkpoint folder of transformers.

        Raises:
            ModelNotFound: No such folder, or no ``config.json`` in it.
            CheckpointError: Another kind of model, or weights that do not fit or are damaged.
            UnsafeCheckpoint: Weights that would have to run code to be read.
        """
        config, weights = read_config(folder), read_weights(folder)
        settings = preprocessing_in(folder)
        return self._loaded(config, weights, settings, str(folder), name, licence, origin)

    def reads(self, weights: dict[str, Tensor]) -> bool:
        """Whether these are an official checkpoint's weights of this family."""
        return is_official(weights)

    def convert(self, weights: dict[str, Tensor], *, name: str, origin: str) -> LoadedModel:
        """The model of an official checkpoint of facebookresearch/Mask2Former.

        Raises:
            CheckpointError: A weight that no such model has.
        """
        config, own = converted(weights)
        return self._loaded(config, own, USUAL, origin, name, "not stated", origin)

    def prepare(
        self, loaded: LoadedModel, photo: Image.Image, *, short_side_px: int | None = None
    ) -> Prepared:
        """A photo as the original code takes it: resized, then padded to multiples of 32.

        (The image processor of transformers stretches it to multiples of 32 instead.)

        Args:
            loaded: A model of this family.
            photo: An upright RGB photo.
            short_side_px: Short side that the model sees; by default the checkpoint's, 800. The
                long side's limit (1333) scales with it.

        Raises:
            MediaError: The photo is not RGB.
            GeometryError: A short side below 32 px.
        """
        require_rgb(photo)
        settings = shortened(loaded.preprocessing, short_side_px)
        pixels = settings.tensor(photo).to(next(loaded.module.parameters()).device)
        view = settings.view((photo.height, photo.width))
        return Prepared({"pixel_values": pixels}, view, photo)

    def lay_out(
        self, loaded: LoadedModel, recording: Iterable[RecordedCall], prepared: Prepared
    ) -> None:
        """Tell the calls of both decoders what their queries and keys stand for.

        Raises:
            GeometryError: A call has another number of tokens than the input makes.
        """
        for call in recording:
            queries, keys = call.shape[2:]
            if _CROSS.search(call.layer):
                call.queries = Tokens(queries)
                call.keys = measured_grid(prepared.view, keys, call.layer)
            elif _SELF.search(call.layer):
                call.queries = call.keys = Tokens(keys)
            elif _PIXELS.search(call.layer) and isinstance(call, DeformableAttention):
                layout = PyramidTokens.from_levels(prepared.view, call.levels_hw)
                call.queries = call.keys = layout

    def look(self, loaded: LoadedModel, prepared: Prepared) -> ObjectRun:
        """Run the model once, its pixel decoder and its transformer decoder recorded."""
        blocked_rows: list[Tensor] = []

        def note(_module: object, _inputs: object, out: tuple[Tensor, Tensor]) -> None:
            # the mask as it was predicted, (heads, queries, keys), before rows are reset
            blocked_rows.append(out[1][0].all(-1).cpu())

        predictor = loaded.module.get_submodule(f"{_DECODER}.mask_predictor")
        hook = predictor.register_forward_hook(note)
        try:
            with (
                torch.inference_mode(),
                record(loaded.module, "model.*_module.decoder.*", keep="qk") as recording,
            ):
                out = loaded.module(**prepared.inputs)
        finally:
            hook.remove()
        self.lay_out(loaded, recording, prepared)
        return ObjectRun(
            predictions=QueryPredictions(
                class_logits=out.class_queries_logits[0].float().cpu(),
                mask_logits=out.masks_queries_logits[0].cpu(),
                boxes_xyxy=None,
                view=prepared.view,
                categories=categories_of(loaded),
            ),
            recording=recording,
            cross_layers=loaded.layers,
            # the last mask is predicted after the last layer, and masks nothing
            resets=dict(zip(loaded.layers, blocked_rows[:-1], strict=True)),
        )

    def segment(
        self, predictions: QueryPredictions, *, threshold: float | None = None
    ) -> Segmentation:
        """Panoptic segments as Mask2Former makes them."""
        limit = THRESHOLD if threshold is None else threshold
        return panoptic_mask2former(predictions, threshold=limit)

    def _loaded(
        self,
        config: dict[str, Any],
        weights: dict[str, Tensor],
        preprocessing: Preprocessing,
        where: str,
        name: str,
        licence: str,
        origin: str,
    ) -> LoadedModel:
        module = build(
            Mask2FormerSegmenter,
            config,
            weights,
            where=where,
            # the backbone's last norm is not used by the feature maps, nor are counts in training
            may_lack=lambda key: ".swin.layernorm." in key or key.endswith(_COUNTS),
            may_hold=lambda key: key.startswith("criterion.") or key.endswith(_COUNTS),
        )
        layers = cross_layers(module, _CROSS)
        return LoadedModel(
            name=name,
            module=module,
            family=self,
            patch_hw=(32, 32),
            size_hw=None,
            prefix=(),
            preprocessing=replace(preprocessing, pad_to_multiple_px=32),
            layers=layers,
            default_layer=layers[-1],
            licence=licence,
            origin=origin,
        )


family = Mask2FormerFamily()
"""The one instance; it has no state."""
