"""Model families: each knows how to load a checkpoint, prepare a photo, and lay out tokens."""

from regard.models.registry import KnownModel, known, load

__all__ = ["KnownModel", "known", "load"]
