"""DVIS-DAQ: video instance segmentation with dynamic anchor queries, in plain PyTorch.

The network of Zhou et al. 2024, "DVIS-DAQ: Improving Video Segmentation via Dynamic Anchor
Queries", with the names that its official checkpoints use. A frame goes through `backbone`
(ResNet, Swin or ViT-Adapter), `pixel_decoder` and `predictor`; `tracker` links its queries to
instances from frame to frame; `refiner` (offline models) looks at each instance over all frames.
"""
