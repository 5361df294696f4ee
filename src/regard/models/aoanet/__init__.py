"""AoANet: image captions, one attention over regions or grid cells for every word.

Source: Huang et al. 2019, "Attention on Attention for Image Captioning". Weights carry the names
of the official code, so its checkpoints load.
"""

from regard.models.aoanet.cnn import GridCnn, load_cnn
from regard.models.aoanet.decoding import Decoding
from regard.models.aoanet.features import Features, whole_photo_grid
from regard.models.aoanet.loading import Captioner, load_captioner
from regard.models.aoanet.stored_features import StoredFeatures

__all__ = [
    "Captioner",
    "Decoding",
    "Features",
    "GridCnn",
    "StoredFeatures",
    "load_captioner",
    "load_cnn",
    "whole_photo_grid",
]
