"""PartCrafter: a photo becomes a 3D object in parts (Lin et al. 2025, arXiv:2506.05573).

Files in the order in which data flows: `photo` (background, crop, pixels), `transformer` (denoises
the latents of all parts), `flow` (steps from noise to latents), `vae` (latents to a field in
space), `surface` (field to meshes), `pipeline` (all of it).
"""
