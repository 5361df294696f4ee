"""Where the pixels of the original picture lie in the picture that the model saw.

One convention everywhere: pixel ``i`` covers the interval ``[i, i + 1)``, so its centre is
``i + 0.5`` (the half-pixel convention, ``align_corners=False``).
"""
