"""Scripts that train the miniatures which the package ships; no part of the package.

Each runs as ``python -m training.mini_NAME``, goes on where it was stopped, and leaves the folder
that ``src/regard/miniatures`` ships.
"""
