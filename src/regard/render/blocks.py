"""Parts of a page, below and beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from regard.render import style
from regard.render.legend import Legend
from regard.render.sheet import Sheet

_NAME_HEIGHT = 44


class Block(Protocol):
    """Whatever has a size and can be laid on a sheet: a chart, a matrix, tiles."""

    @property
    def size_wh(self) -> tuple[int, int]:
        """Size in pixels."""

    def draw(self, sheet: Sheet, x: int, y: int) -> object:
        """Draw it with its upper left corner at (x, y)."""


@dataclass(frozen=True)
class Named:
    """A block with a bold line above it."""

    name: str
    block: Block

    @property
    def size_wh(self) -> tuple[int, int]:
        """Size in pixels."""
        width, height = self.block.size_wh
        return width, height + _NAME_HEIGHT

    def draw(self, sheet: Sheet, x: int, y: int) -> None:
        """Draw it with its upper left corner at (x, y)."""
        sheet.text(self.name, x, y + 26, weight="bold", width=self.size_wh[0])
        self.block.draw(sheet, x, y + _NAME_HEIGHT)


@dataclass(frozen=True)
class Column:
    """Blocks below each other."""

    blocks: Sequence[Block]
    gap: int = 2 * style.GAP

    @property
    def size_wh(self) -> tuple[int, int]:
        """Size in pixels."""
        sizes = [block.size_wh for block in self.blocks]
        height = sum(height for _, height in sizes) + self.gap * (len(sizes) - 1)
        return max(width for width, _ in sizes), height

    def draw(self, sheet: Sheet, x: int, y: int) -> None:
        """Draw it with its upper left corner at (x, y)."""
        for block in self.blocks:
            block.draw(sheet, x, y)
            y += block.size_wh[1] + self.gap


@dataclass(frozen=True)
class Row:
    """Blocks beside each other."""

    blocks: Sequence[Block]
    gap: int = 2 * style.GAP

    @property
    def size_wh(self) -> tuple[int, int]:
        """Size in pixels."""
        sizes = [block.size_wh for block in self.blocks]
        width = sum(width for width, _ in sizes) + self.gap * (len(sizes) - 1)
        return width, max(height for _, height in sizes)

    def draw(self, sheet: Sheet, x: int, y: int) -> None:
        """Draw it with its upper left corner at (x, y)."""
        for block in self.blocks:
            block.draw(sheet, x, y)
            x += block.size_wh[0] + self.gap


@dataclass(frozen=True)
class Key:
    """What the colours of the block above it mean."""

    legend: Legend
    width: int

    @property
    def size_wh(self) -> tuple[int, int]:
        """Size in pixels."""
        return self.width, self.legend.height(self.width)

    def draw(self, sheet: Sheet, x: int, y: int) -> None:
        """Draw it with its upper left corner at (x, y)."""
        self.legend.draw(sheet, x, y, self.width)


def in_rows(blocks: Sequence[Block], columns: int) -> Column:
    """Blocks in rows of so many."""
    rows = [blocks[start : start + columns] for start in range(0, len(blocks), columns)]
    return Column([Row(row) for row in rows])
