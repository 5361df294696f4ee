"""Options that commands on runs share: which videos, which instances, and how they are shown."""

from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from regard.cli.terminal import complain
from regard.errors import RegardError

Videos = Annotated[list[str], Parameter(consume_multiple=True, show_default=False)]
Instances = Annotated[
    list[int], Parameter(consume_multiple=True, show_default=False, validator=Number(gte=0))
]
Category = Annotated[str | None, Parameter(name="--class")]
Track = Annotated[int | None, Parameter(validator=Number(gte=0))]
Query = Annotated[int | None, Parameter(validator=Number(gte=0))]
Scale = Literal["per_frame", "across_frames", "temporal_per_frame", "temporal_across_frames"]
Mixing = Literal["weighted", "top", "rollout"]


class Failures:
    """Tells on stderr what could not be made, and goes on."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, error: RegardError) -> None:
        """Something failed."""
        complain(error)
        self.count += 1

    @property
    def code(self) -> int:
        """Exit code: 1 if anything failed."""
        return 1 if self.count else 0


def options(
    instances: list[int],
    category: str | None,
    track: int | None,
    query: int | None,
    mixing: Mixing = "weighted",
    unmasked: bool = False,
) -> dict[str, Any]:
    """Keywords of `regard.figures.subject.choose`; what is as by default is left out."""
    chosen: dict[str, Any] = {"instances": instances} if instances else {}
    named = {"category": category, "track": track, "query": query}
    chosen |= {name: value for name, value in named.items() if value is not None}
    chosen |= {"mixing": mixing} if mixing != "weighted" else {}
    return chosen | ({"masked": False} if unmasked else {})
