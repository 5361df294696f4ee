"""Which architectures are recorded, and how exactly: the tables of docs/coverage.md.

`python -m benchmarks.coverage ROOM...` runs some rooms of the zoo only. Where a library is not
installed, the table of its room stays as it is.
"""

import sys
import warnings
from typing import Any

import torch

from benchmarks.__main__ import write_pages
from benchmarks.measure import report
from regard.zoo import ROOMS, room
from regard.zoo.entry import Entry
from regard.zoo.examine import examine


def row(entry: Entry) -> dict[str, Any]:
    """What examining an entry gave; an entry with problems ends the run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other libraries' own
        finding = examine(entry)
    if problems := finding.problems(entry):
        raise SystemExit(f"{entry.name}: {'; '.join(problems)}")
    return {"architecture": entry.name, **finding.cells(), "remarks": entry.because}


def main() -> None:
    torch.set_num_threads(1)
    for name in sys.argv[1:] or ROOMS:
        entries = room(name)
        missing = {entry.missing for entry in entries} - {""}
        if missing:
            print(f"{ROOMS[name]}: {'; '.join(sorted(missing))}; its table stays as it is")
        else:
            report(f"coverage_{name}", [row(entry) for entry in entries])
    write_pages()


if __name__ == "__main__":
    main()
