"""Photos of one size, on disk, to be read in any order."""

import tempfile

from PIL import Image


class PhotoStore:
    """RGB pictures in a temporary file, which is deleted when it is closed."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the store
        self._size_wh = (0, 0)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, photo: Image.Image) -> None:
        """Store the next one."""
        self._size_wh = photo.size
        self._file.seek(0, 2)
        self._file.write(photo.convert("RGB").tobytes())
        self._count += 1

    def __getitem__(self, index: int) -> Image.Image:
        if not 0 <= index < self._count:
            raise IndexError(index)
        size = 3 * self._size_wh[0] * self._size_wh[1]
        self._file.seek(index * size)
        return Image.frombytes("RGB", self._size_wh, self._file.read(size))

    def close(self) -> None:
        """Delete them."""
        self._file.close()
