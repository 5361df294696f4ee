"""DETR: objects by a fixed number of queries that attend to the photo.

Source: Carion et al. 2020, "End-to-End Object Detection with Transformers". Runs as transformers
builds it, on a ResNet of transformers, whatever library the checkpoint's backbone came from.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from torch import Tensor, nn

from regard.intercept.record import record
from regard.models.checkpoint import read_config, read_weights
from regard.models.detection_input import USUAL, preprocessing_in, shortened
from regard.models.detr.official import converted, is_official, without_timm
from regard.models.family import LoadedModel, Prepared, RecordedCall
from regard.models.hugging_face import build
from regard.models.objects import JointMap, ObjectRun, measured_grid
from regard.models.preprocessing import Preprocessing, require_rgb
from regard.models.resnet import dilate
from regard.recording import Recording
from regard.segmentation.categories import Categories
from regard.segmentation.panoptic_detr import THRESHOLD, panoptic_detr
from regard.segmentation.queries import QueryPredictions, photo_boxes
from regard.segmentation.segments import Segmentation
from regard.tokens import Tokens

_CROSS = re.compile(r"decoder\.layers\.\d+\.encoder_attn$")
_SELF = re.compile(r"decoder\.layers\.\d+\.self_attn$")
_ENCODER = re.compile(r"encoder\.layers\.\d+\.self_attn$")


class DetrFamily:
    """Loads, prepares, runs and lays out DETR, with a mask head or without."""

    name = "detr"
    threshold = THRESHOLD

    def load(self, folder: Path, *, name: str, licence: str, origin: str) -> LoadedModel:
        """A checkpoint folder of transformers; timm backbones become transformers' own ResNet.

        Raises:
            ModelNotFound: No such folder, or no ``config.json`` in it.
            CheckpointError: Another kind of model, or weights that do not fit or are damaged.
            UnsafeCheckpoint: Weights that would have to run code to be read.
        """
        config = read_config(folder)
        backbone, weights = without_timm(read_weights(folder))
        if backbone is not None:
            config = _over_resnet(config, backbone)
        return self._loaded(
            config, weights, preprocessing_in(folder), str(folder), name, licence, origin
        )

    def reads(self, weights: dict[str, Tensor]) -> bool:
        """Whether these are an official checkpoint's weights of this family."""
        return is_official(weights)

    def convert(self, weights: dict[str, Tensor], *, name: str, origin: str) -> LoadedModel:
        """The model of an official checkpoint of facebookresearch/detr.

        The weights do not tell a model with dilation (DC5); the official files' names do.

        Args:
            weights: The checkpoint's ``model`` entry.
            name: Name of the file; with "dc5" in it, the last stage of the backbone is dilated.
            origin: Where it came from.

        Raises:
            CheckpointError: A weight that no DETR has.
        """
        config, own = converted(weights)
        config["dilation"] = "dc5" in name.lower()
        return self._loaded(config, own, USUAL, origin, name, "not stated", origin)

    def prepare(
        self, loaded: LoadedModel, photo: Image.Image, *, short_side_px: int | None = None
    ) -> Prepared:
        """A photo as the model takes it: resized, its shape kept, nothing cut off.

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
        """Tell every recorded call what its queries and keys stand for.

        Raises:
            GeometryError: A call has another number of tokens than the input makes.
        """
        for call in recording:
            queries, keys = call.shape[2:]
            if _ENCODER.search(call.layer):
                call.queries = call.keys = measured_grid(prepared.view, keys, call.layer)
            elif _CROSS.search(call.layer):
                call.queries = Tokens(queries)
                call.keys = measured_grid(prepared.view, keys, call.layer)
            elif _SELF.search(call.layer):
                call.queries = call.keys = Tokens(keys)

    def look(self, loaded: LoadedModel, prepared: Prepared) -> ObjectRun:
        """Run the model once, recorded."""
        maps: list[Tensor] = []
        hooks = [
            module.register_forward_hook(lambda _m, _i, out: maps.append(out))
            for name, module in loaded.module.named_modules()
            if name == "bbox_attention"
        ]
        try:
            with torch.inference_mode(), record(loaded.module, keep="qk") as recording:
                out = loaded.module(**prepared.inputs)
        finally:
            for hook in hooks:
                hook.remove()
        self.lay_out(loaded, recording, prepared)
        return ObjectRun(
            predictions=QueryPredictions(
                class_logits=out.logits[0].float().cpu(),
                mask_logits=out.pred_masks[0].cpu() if "pred_masks" in out else None,
                boxes_xyxy=photo_boxes(out.pred_boxes[0].cpu(), prepared.view),
                view=prepared.view,
                categories=categories_of(loaded),
            ),
            recording=recording,
            cross_layers=loaded.layers,
            joint=_joint(maps, recording, loaded) if maps else None,
        )

    def segment(
        self, predictions: QueryPredictions, *, threshold: float | None = None
    ) -> Segmentation:
        """Panoptic segments as DETR makes them."""
        limit = THRESHOLD if threshold is None else threshold
        return panoptic_detr(predictions, threshold=limit)

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
        has_masks = any("mask_head." in key for key in weights)
        model_class = (
            transformers.DetrForSegmentation if has_masks else transformers.DetrForObjectDetection
        )
        is_dilated = bool(config.get("dilation"))
        module = build(
            model_class,
            config | {"dilation": False},
            weights,
            where=where,
            may_hold=lambda key: key.endswith("num_batches_tracked"),
        )
        if is_dilated:
            dilate(module)
        stride = 16 if is_dilated else 32
        layers = cross_layers(module, _CROSS)
        return LoadedModel(
            name=name,
            module=module,
            family=self,
            patch_hw=(stride, stride),
            size_hw=None,
            prefix=(),
            preprocessing=replace(preprocessing, pad_to_multiple_px=1),
            layers=layers,
            default_layer=layers[-1],
            licence=licence,
            origin=origin,
        )


family = DetrFamily()
"""The one instance; it has no state."""


def cross_layers(module: nn.Module, pattern: re.Pattern[str]) -> tuple[str, ...]:
    """Paths of the modules that match, in the order in which they run."""
    return tuple(path for path, _ in module.named_modules() if pattern.search(path))


def categories_of(loaded: LoadedModel) -> Categories:
    """What the classes of a model are, by its count of them and the names it came with."""
    config: Any = loaded.module.config
    return Categories.of(config.num_labels, {int(i): n for i, n in config.id2label.items()})


def _over_resnet(config: dict[str, Any], backbone: dict[str, Any]) -> dict[str, Any]:
    gone = ("backbone", "use_timm_backbone", "use_pretrained_backbone", "backbone_kwargs")
    kept = {key: value for key, value in config.items() if key not in gone}
    return {**kept, "backbone_config": backbone}


def _joint(maps: list[Tensor], recording: Recording, loaded: LoadedModel) -> JointMap:
    """The mask head's weights over the keys of the last decoder layer: the same feature map."""
    (weights,) = maps
    keys = recording.find(loaded.layers[-1])[0].keys
    return JointMap(weights=weights[0].flatten(2).float().cpu(), keys=keys)  # type: ignore[arg-type]
