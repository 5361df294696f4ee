"""Which architectures are recorded, and how exactly: the tables of docs/coverage.md.

The entries of a library that is not installed keep the rows that they have.
"""

import warnings
from typing import Any

import torch

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
    for name in ROOMS:
        entries = room(name)
        missing = {entry.missing for entry in entries} - {""}
        if missing:
            print(f"{ROOMS[name]}: {'; '.join(sorted(missing))}; its table stays as it is")
        else:
            report(f"coverage_{name}", [row(entry) for entry in entries])


if __name__ == "__main__":
    main()
