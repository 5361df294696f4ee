"""From a photo to its objects, and where the object query of each one looked."""
