"""`regard zoo`: small models of many architectures, recorded and checked."""

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from regard.cli.terminal import complain, plain, table_console

if TYPE_CHECKING:
    from rich.table import Table

    from regard.zoo.entry import Entry
    from regard.zoo.examine import Finding

Row = tuple["Entry", "Finding | None", list[str]]


def zoo(pattern: str = "*", /, *, names: Annotated[bool, Parameter(name="--list")] = False) -> int:
    """Record small models of many architectures, and check every weight.

    Each runs with and without recording. Every softmax that torch runs must be accounted for,
    weights must give the model's own output, and outputs must keep every bit. Takes about a
    minute for all.

    Parameters
    ----------
    pattern
        Glob over names, such as "swin*", or a word of them, such as timm; by default all.
    names
        Print the names only.
    """
    from regard.zoo import ROOMS, find

    rooms = find(pattern)
    if names:
        print("\n".join(entry.name for entries in rooms.values() for entry in entries))
        return 0
    console = table_console()
    rows: list[Row] = []
    progress = _progress([entry for entries in rooms.values() for entry in entries])
    for room, entries in rooms.items():
        if rows:
            console.print()
        done = [_examined(next(progress)) for _ in entries]
        console.print(_table(ROOMS[room], done))
        rows += done
    next(progress, None)
    return _told(rows)


def _examined(entry: "Entry") -> Row:
    from regard.zoo.examine import examine

    if entry.missing:
        return entry, None, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other libraries' own
        try:
            finding = examine(entry)
        except Exception as error:  # a model that does not run is a row that fails
            return entry, None, [f"does not run: {type(error).__name__}: {error}"]
    return entry, finding, finding.problems(entry)


def _table(title: str, rows: list[Row]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE, show_edge=False)
    for name in ("architecture", "calls"):
        table.add_column(name, no_wrap=True)
    for name in ("softmaxes", "largest error"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("not recorded", overflow="fold")
    table.add_column("", overflow="fold")
    for entry, finding, problems in rows:
        verdict = "; ".join(problems) or (entry.missing and f"skipped: {entry.missing}") or "ok"
        cells = ["", "", "", ""] if finding is None else list(finding.cells().values())
        style = "bold red" if problems else "dim" if finding is None else ""
        table.add_row(*(plain(cell) for cell in (entry.name, *cells, verdict)), style=style)
    return table


def _told(rows: list[Row]) -> int:
    failed = sum(bool(problems) for _, _, problems in rows)
    skipped = sum(finding is None and not problems for _, finding, problems in rows)
    calls = sum(entry.count for entry, finding, _ in rows if finding is not None)
    worst = max((finding.error for _, finding, _ in rows if finding is not None), default=0.0)
    ran = len(rows) - skipped
    print(f"{ran - failed} of {ran} architectures ok, {calls} calls, largest error {worst:.1e}")
    if skipped:
        complain(f"{skipped} architectures skipped: their library is not installed")
    if failed:
        complain(f"{failed} of {ran} architectures failed")
    return 1 if failed or not ran else 0


def _progress(entries: list["Entry"]) -> Iterator["Entry"]:
    """The entries, with a progress bar on the terminal that names the present one."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("zoo", total=len(entries))
        for entry in entries:
            progress.update(task, description=entry.name)
            yield entry
            progress.advance(task)
