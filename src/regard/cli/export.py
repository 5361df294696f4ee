"""`regard export`: a run in the files of another tool."""

from pathlib import Path
from typing import Literal

from regard.cli.folders import require_folder
from regard.cli.terminal import plain


def export(run: Path, /, *, to: Literal["npz"], out: Path) -> int:
    """Write a run in the files of another tool.

    Rows of tracks that are not in the result are there only if the run kept them (--keep all);
    elsewhere they are NaN.

    Parameters
    ----------
    run
        Folder that regard run or regard video wrote.
    to
        "npz": .npz and .meta.json files as the DVIS attention pipeline names them.
    out
        Folder for the files.
    """
    require_folder(out)
    from regard.runs import open_run
    from regard.runs.npz_export import export_npz

    files = sum(1 for _ in export_npz(open_run(run), out))
    print(plain(f"{run} -> {out}  ({files} files, {to})"))
    return 0
