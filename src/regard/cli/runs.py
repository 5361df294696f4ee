"""What commands that make runs have in common."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from regard.cli.terminal import complain

if TYPE_CHECKING:
    from regard.models.dvis_daq.pretrained import Pretrained
    from regard.models.dvis_daq.settings import Settings

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def load_model(
    model: str, online: bool | None, config: Path | None, short_side_px: int | None
) -> tuple["Pretrained", "Settings"]:
    """A model, and the settings that it is run with."""
    from regard.models.dvis_daq.pretrained import pretrained
    from regard.models.dvis_daq.settings import Settings

    loaded = pretrained(model, online=online)
    settings = loaded.settings if config is None else Settings.from_yaml(config)
    if short_side_px is not None:
        settings = settings.updated(short_side_px=short_side_px)
    return loaded, settings


@contextmanager
def resumable(run: Path) -> Iterator[None]:
    """Ends the program on Ctrl-C with a line that says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        complain(f"interrupted; what is done is kept in {run}, the same command goes on from there")
        raise SystemExit(INTERRUPTED) from None


def tell_failed(failed: Mapping[str, str], count: int, what: str) -> int:
    """The exit code: 0 if nothing failed; 1, with a line about it, if something did."""
    if failed and count > 1:
        complain(f"{len(failed)} of {count} {what} failed")
    return 1 if failed else 0
