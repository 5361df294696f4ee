"""The ``infos_ID.pkl`` that training writes beside a checkpoint, read without running anything.

It is a pickle, and a pickle may name any function to be called. A file of AoANet's names four
things; each stands for a small stand-in of our own here, and a fifth is refused.
"""

import codecs
import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

from regard.errors import CheckpointError, ModelNotFound, UnsafeCheckpoint
from regard.models.aoanet.options import Options

LARGEST_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Infos:
    """What is needed of an infos file."""

    options: Options
    vocabulary: dict[int, str]
    """Word of each token from 1 on; the last is UNK."""

    @classmethod
    def of(cls, opt: Mapping[str, Any], vocabulary: Mapping[Any, Any], path: Path) -> Self:
        """What a file states, checked; ``path`` names it in errors.

        Raises:
            CheckpointError: Options that make no AoANet, or words that do not belong to them.
        """
        try:
            options = Options.from_opt(opt)
            words = {int(token): str(word) for token, word in vocabulary.items()}
        except (CheckpointError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: {error}") from error
        if set(words) != set(range(1, options.vocab_size + 1)):
            raise CheckpointError(
                f"{path}: the vocabulary has {len(words)} words, and option vocab_size is "
                f"{options.vocab_size}; the file was put together from two models"
            )
        return cls(options, words)

    def text(self, tokens: tuple[int, ...]) -> str:
        """The caption that these tokens write; pieces of words are joined.

        >>> Infos(Options(vocab_size=2, rnn_size=8), {1: "sky@@", 2: "line"}).text((1, 2))
        'skyline'
        """
        return " ".join(map(self.word, tokens)).replace("@@ ", "")

    def word(self, token: int) -> str:
        """The word that a token stands for."""
        return self.vocabulary.get(token, f"<{token}>")


def read_infos(path: Path) -> Infos:
    """Options and vocabulary of a model.

    Raises:
        ModelNotFound: There is no such file.
        UnsafeCheckpoint: It asks for something that could run code.
        CheckpointError: It is damaged, or not AoANet's.
    """
    if not path.is_file():
        raise ModelNotFound(
            f"there is no file {path}; expected the infos_ID.pkl that training wrote beside the "
            "checkpoint"
        )
    if path.stat().st_size > LARGEST_BYTES:
        raise CheckpointError(f"{path} has {path.stat().st_size:,} bytes, more than any infos file")
    content = _unpickled(path)
    opt = content.get("opt") if isinstance(content, dict) else None
    vocabulary = content.get("vocab") if isinstance(content, dict) else None
    if not isinstance(opt, _Namespace | dict) or not isinstance(vocabulary, dict):
        raise CheckpointError(
            f"{path} holds no opt and vocab; expected the infos_ID.pkl that training wrote"
        )
    return Infos.of(opt if isinstance(opt, dict) else vars(opt), vocabulary, path)


def _unpickled(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return _Reader(file, encoding="latin1").load()
    except UnsafeCheckpoint as error:
        raise UnsafeCheckpoint(f"{path} was not read on: {error}") from error
    except Exception as error:  # damaged pickles raise any kind
        raise CheckpointError(
            f"{path} is damaged, or no pickle: {type(error).__name__}: {error}"
        ) from error


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name that the pickle asks for."""
        stand_in = _STAND_INS.get((module.replace("numpy._core", "numpy.core"), name))
        if stand_in is None:
            raise UnsafeCheckpoint(
                f"it asks for {module}.{name}, which could run code; expected plain settings and "
                "words as AoANet's training writes them"
            )
        return stand_in

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refused: nothing outside the file is read."""
        raise UnsafeCheckpoint("it points outside itself; expected plain settings and words")


class _Namespace:
    """Stands for ``argparse.Namespace``: a bag of settings."""


class _Kind:
    """Stands for ``numpy.dtype``: the code of a number's type."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = str(code), "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


_CODES = {"f2": "e", "f4": "f", "f8": "d", "b1": "?"} | {
    f"{kind}{size}": letter
    for kind, letters in (("i", "bhiq"), ("u", "BHIQ"))
    for size, letter in zip((1, 2, 4, 8), letters, strict=True)
}


def _scalar(kind: _Kind, data: bytes | str = b"") -> float:
    """Stands for NumPy's constructor of single numbers."""
    raw = data.encode("latin1") if isinstance(data, str) else data
    number: float = struct.unpack(kind.order + _CODES[kind.code], raw)[0]
    return number


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Stands for ``_codecs.encode``, by which Python 3 writes bytes for Python 2."""
    if codecs.lookup(encoding).name != "iso8859-1":
        raise UnsafeCheckpoint(f"it asks for the encoding {encoding!r}; expected latin1")
    return text.encode("latin1")


_STAND_INS = {
    ("argparse", "Namespace"): _Namespace,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy", "dtype"): _Kind,
    ("_codecs", "encode"): _encode,
}
