"""Mask2Former's network as transformers builds it, without its losses, which want SciPy."""

from typing import Any

from torch import Tensor, nn
from transformers import Mask2FormerConfig, Mask2FormerModel, Mask2FormerPreTrainedModel
from transformers.models.mask2former.modeling_mask2former import (
    Mask2FormerForUniversalSegmentationOutput,
)


class Mask2FormerSegmenter(Mask2FormerPreTrainedModel):  # type: ignore[misc]
    """`Mask2FormerForUniversalSegmentation` for inference; its weights have the same names."""

    main_input_name = "pixel_values"

    def __init__(self, config: Mask2FormerConfig) -> None:
        super().__init__(config)
        self.model = Mask2FormerModel(config)
        self.class_predictor = nn.Linear(config.hidden_dim, config.num_labels + 1)
        self.post_init()

    def forward(self, pixel_values: Tensor) -> Any:
        """Class and mask logits of every query.

        Args:
            pixel_values: (batch, 3, height, width), normalized.

        Returns:
            ``class_queries_logits`` (batch, queries, classes + 1) and ``masks_queries_logits``
            (batch, queries, height / 4, width / 4).
        """
        # not through `self.model`, which would keep every hidden state to give the last one
        pixels = self.model.pixel_level_module(pixel_values=pixel_values)
        out = self.model.transformer_module(
            multi_scale_features=pixels.decoder_hidden_states,
            mask_features=pixels.decoder_last_hidden_state,
        )
        last = out.intermediate_hidden_states[-1].transpose(0, 1)
        return Mask2FormerForUniversalSegmentationOutput(
            class_queries_logits=self.class_predictor(last),
            masks_queries_logits=out.masks_queries_logits[-1],
        )
