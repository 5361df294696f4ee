"""Words for a terminal: what people and files are called is shown, never obeyed."""

import logging
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 240
"""Width of a table that goes to a file or another program: there, one row is one line."""


def plain(text: object) -> str:
    r"""One line; line breaks, escape sequences and the like are written out, as ``\x1b``."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def complain(message: object) -> None:
    """Tell people something on stderr."""
    print(f"regard: {plain(message)}", file=sys.stderr, flush=True)


def table_console() -> "Console":
    """Where tables go: stdout, as wide as the terminal is."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout; the first column is text, the others are numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(plain(title)) if title else None,
        title_justify="left",
        box=box.SIMPLE,
        show_edge=False,
        pad_edge=False,
    )
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    table_console().print(table)


class NoticeHandler(logging.Handler):
    """Puts warnings of the log on stderr, or on what stands for it just then (a progress bar)."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell people the message."""
        complain(record.getMessage())
