"""Layers and tokens as people ask for them: by index, by name, by place."""

import operator

from regard.errors import SelectionError
from regard.recording import Recording, matches
from regard.tokens import Tokens

Query = int | str | tuple[float, float] | None
"""A token: its index; its name, such as "cls"; the point (x, y) of the photo that it stands for;
"mean" for the mean over all queries; None for "cls" where there is one, else "mean"."""


def choose_layers(recording: Recording, layer: int | str) -> tuple[int, ...]:
    """Indices in `recording.layers` of the layers that an index or a glob names.

    Raises:
        SelectionError: There is none.
    """
    paths = recording.layers
    if isinstance(layer, int):
        if not -len(paths) <= layer < len(paths):
            raise SelectionError(
                f"layer {layer} does not exist; there are {len(paths)} (0..{len(paths) - 1})"
            )
        return (layer % len(paths),)
    found = tuple(i for i, path in enumerate(paths) if matches(path, layer))
    if not found:
        raise SelectionError(f"no layer matches {layer!r}; there are: {', '.join(paths)}")
    return found


def resolve(queries: Tokens, query: Query) -> int | None:
    """Index of the query that was asked for; None for the mean over all.

    Raises:
        SelectionError: No token has this index or name.
        GeometryError: A point outside of what the model saw.
    """
    named = queries.named
    if query is None:
        return 0 if queries.count == 1 else named.get("cls")
    if query == "mean":
        return None
    if isinstance(query, tuple):
        return _at(queries, query)
    if not isinstance(query, str):
        query = _integer(query)
        if not -queries.count <= query < queries.count:
            raise SelectionError(
                f"query {query} does not exist; there are {queries.count} (0..{queries.count - 1})"
            )
        return int(query % queries.count)
    if query.lower() in named:
        return named[query.lower()]
    there = ", ".join([*named, "mean"])
    raise SelectionError(
        f"no token is called {query!r}; there are: {there}, indices and points X,Y"
    )


def _at(queries: Tokens, point_xy: tuple[float, float]) -> int:
    if len(point_xy) != 2:
        raise SelectionError(f"the query {point_xy!r} is no point; expected (x, y) in pixels")
    return queries.at(*point_xy)


def _integer(query: int) -> int:
    try:
        return operator.index(query)
    except TypeError:
        raise SelectionError(
            f'the query {query!r} is none; expected an index, a name, a point (x, y) or "mean"'
        ) from None
