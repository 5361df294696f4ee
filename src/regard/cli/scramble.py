"""`regard scramble` and `regard unscramble`: the frames of videos in another order, and back."""

from pathlib import Path

from regard.cli.terminal import plain


def scramble(dataset: Path, /, *, out: Path, seed: int = 400) -> None:
    """Put the frames of every video of a YTVIS data set in a random order.

    File names, masks, boxes and areas change places together. The same seed gives the same order;
    it is noted in OUT, for `regard unscramble`.

    Parameters
    ----------
    dataset
        YTVIS JSON file.
    out
        Where the scrambled one goes.
    seed
        The order of a video follows from this plus its id.
    """
    from regard.datasets.json_files import read_json, write_json
    from regard.datasets.scramble import scrambled

    there = scrambled(read_json(dataset), seed)
    write_json(out, there)
    print(plain(f"{len(there['videos'])} videos -> {out}"))


def unscramble(file: Path, /, *, out: Path, dataset: Path | None = None) -> None:
    """Put the frames of scrambled videos, or of their results, in order again.

    Parameters
    ----------
    file
        Scrambled YTVIS JSON file, or results of one with --dataset.
    out
        Where the file in order goes.
    dataset
        The scrambled YTVIS JSON file that results are of.
    """
    from regard.datasets.json_files import read_json, write_json
    from regard.datasets.scramble import unscrambled, unscrambled_results
    from regard.errors import FormatError

    content = read_json(file)
    if dataset is None:
        back = unscrambled(content)
        write_json(out, back)
        print(plain(f"{len(back['videos'])} videos -> {out}"))
        return
    if not isinstance(content, list):
        raise FormatError(f"{file} is no list of results, which --dataset is for")
    rows = unscrambled_results(content, read_json(dataset))
    write_json(out, rows)
    print(plain(f"{len(rows)} results -> {out}"))
