"""How the miniatures were trained; no part of the package."""
