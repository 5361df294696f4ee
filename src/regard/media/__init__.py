"""Reading and writing pictures, and reading videos, with limits."""

from regard.media.image import png_bytes, read_image, write_png

__all__ = ["png_bytes", "read_image", "write_png"]
