"""`regard check`: whether every byte of a run is as it was written."""

from pathlib import Path

from regard.cli.terminal import plain


def check(run: Path, /) -> int:
    """Read every file of a run, and name those that are cut short, changed, missing or foreign.

    The exit code is 1 if there are any.

    Parameters
    ----------
    run
        Folder that regard run or regard video wrote.
    """
    from regard.runs.check import check_run

    files = total = wrong = 0
    for checked in check_run(run):
        files += 1
        total += checked.size_bytes
        if checked.problem is not None:
            wrong += 1
            print(plain(f"{checked.name} {checked.problem}"), flush=True)
    what = f"{wrong} of {files} files are not as they must be" if wrong else "all is whole"
    print(plain(f"{run}: {files} files, {total / 2**20:,.1f} MiB, {what}"))
    return 1 if wrong else 0
