"""AoANet: image captions, one attention over regions or grid cells for every word.

Source: Huang et al. 2019, "Attention on Attention for Image Captioning". Weights carry the names
of the official code, so its checkpoints load.
"""
