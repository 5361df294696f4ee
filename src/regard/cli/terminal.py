"""Words for a terminal: what people and files are called is shown, never obeyed."""

import logging
import os
import sys
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


class NoticeHandler(logging.Handler):
    """Puts warnings of the log on stderr, or on what stands for it just then (a progress bar)."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell people the message."""
        complain(record.getMessage())
