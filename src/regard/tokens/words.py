"""Tokens that are words, or pieces of words."""

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

from regard.errors import GeometryError
from regard.tokens.base import Tokens


@dataclass(frozen=True)
class WordTokens(Tokens, kind="words"):
    """Tokens called by the words that they are; a word may come more than once.

    >>> WordTokens.of(["a", "cat"]).name(1)
    "1 'cat'"
    """

    _: KW_ONLY
    words: tuple[str, ...]
    """The words."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))
        super().__post_init__()
        if len(self.words) != self.count or self.prefix or self.suffix:
            raise GeometryError(
                f"{len(self.words)} words in a layout of {self.count} tokens: make it with "
                "WordTokens.of(words)"
            )

    @classmethod
    def of(cls, words: Iterable[str]) -> Self:
        """The layout of these words."""
        words = tuple(words)
        return cls(len(words), words=words)

    def to_json(self) -> dict[str, Any]:
        """The layout as plain numbers, lists and text; `tokens_from_json` gives it back."""
        return {**super().to_json(), "words": list(self.words)}

    def _name_unnamed(self, index: int) -> str:
        return f"{index} {self.words[index]!r}"
