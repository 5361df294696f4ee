"""From what object queries predict to segments: panoptic, instance and semantic.

Knows nothing of models and files.
"""
