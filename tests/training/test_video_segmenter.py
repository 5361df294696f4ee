"""The segmenter of the video miniature is the miniature Mask2Former under other names."""

import torch
from safetensors.torch import load_file
from transformers import Mask2FormerConfig

from regard.datasets.shapes import KINDS
from regard.miniatures import miniature_folder
from regard.models.mask2former.segmenter import Mask2FormerSegmenter
from training.video_network import build
from training.video_segmenter import SOURCE, take_segmenter

TOLERANCE = 1e-3  # float32, of mask logits that go up to 60


def test_it_says_what_transformers_says() -> None:
    torch.manual_seed(0)
    network = build(len(KINDS)).eval()
    take_segmenter(network)
    folder = miniature_folder(SOURCE)
    other = Mask2FormerSegmenter(Mask2FormerConfig.from_pretrained(folder)).eval()
    stored = load_file(folder / "model.safetensors")
    other.load_state_dict({name: tensor.float() for name, tensor in stored.items()})
    pixels = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        found, expected = network(pixels).queries, other(pixel_values=pixels)
    classes = expected.class_queries_logits[..., [*range(len(KINDS)), -1]]
    torch.testing.assert_close(found.logits, classes, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(found.masks, expected.masks_queries_logits, atol=TOLERANCE, rtol=0)
