"""What has to be closed, and is closed by a ``with``."""

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """Base of what holds files, locks or threads until it is closed."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
