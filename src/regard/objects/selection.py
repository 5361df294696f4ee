"""Object queries and decoder layers as people ask for them."""

from collections.abc import Sequence

from regard.errors import SelectionError
from regard.segmentation.queries import QueryPredictions
from regard.segmentation.segments import Segmentation

ObjectQuery = int | str | tuple[float, float] | None
"""Object queries: the index of one; the name of a class, for all queries that found one; a point
(x, y) of the photo, for the query that owns this pixel; None for the query with the best score."""

LayerChoice = int | str | Sequence[int] | None
"""Decoder layers: an index, several, "lastN" for the last N, "all"; None for the last."""


def choose_decoder_layers(layers: LayerChoice, count: int) -> tuple[int, ...]:
    """Indices of decoder layers, 0 to ``count`` - 1.

    Raises:
        SelectionError: There is no such layer.
    """
    if layers is None:
        return (count - 1,)
    if layers == "all":
        return tuple(range(count))
    if isinstance(layers, str) and layers.startswith("last") and layers[4:].isdecimal():
        number = int(layers[4:])
        if 1 <= number <= count:
            return tuple(range(count - number, count))
        raise SelectionError(f"layers={layers!r}, but there are {count} decoder layers")
    chosen = [layers] if isinstance(layers, int) else layers
    if isinstance(chosen, str) or not chosen or not all(isinstance(i, int) for i in chosen):
        raise SelectionError(
            f'layers={layers!r}; expected an index, several, "last3" or "all" of 0..{count - 1}'
        )
    for index in chosen:
        if not -count <= index < count:
            raise SelectionError(
                f"decoder layer {index} does not exist; there are {count} (0..{count - 1})"
            )
    return tuple(index % count for index in chosen)


def choose_queries(
    predictions: QueryPredictions,
    segmentation: Segmentation | None,
    found: tuple[int, ...],
    query: ObjectQuery,
) -> tuple[int, ...]:
    """Indices of the object queries that were asked for, best score first.

    Raises:
        SelectionError: No such query or class, or a pixel that no query owns.
        GeometryError: A point outside of the photo.
    """
    if query is None:
        return (found[0],) if found else (int(predictions.object_scores.argmax()),)
    if isinstance(query, str):
        return _of_class(predictions, found, query)
    if isinstance(query, tuple):
        if len(query) != 2:
            raise SelectionError(f"the query {query!r} is no point; expected (x, y) in pixels")
        return (_owner(predictions, segmentation, found, query),)
    if not -len(predictions) <= query < len(predictions):
        raise SelectionError(
            f"object query {query!r} does not exist; there are {len(predictions)} "
            f"(0..{len(predictions) - 1}), classes by name, and points X,Y"
        )
    return (query % len(predictions),)


def _of_class(predictions: QueryPredictions, found: tuple[int, ...], name: str) -> tuple[int, ...]:
    names = {q: predictions.categories.name(int(predictions.object_labels[q])) for q in found}
    chosen = tuple(q for q, own in names.items() if own.lower() == name.lower())
    if chosen:
        return chosen
    there = ", ".join(dict.fromkeys(names.values())) or "nothing; lower the threshold"
    known = name.lower() in (each.lower() for each in predictions.categories.names)
    raise SelectionError(
        f"no query found {name!r}"
        + ("" if known else ", which is no class of this model")
        + f"; found: {there}"
    )


def _owner(
    predictions: QueryPredictions,
    segmentation: Segmentation | None,
    found: tuple[int, ...],
    point_xy: tuple[float, float],
) -> int:
    """The query that owns a pixel; without masks, the smallest box around it."""
    x, y = point_xy
    if segmentation is not None:
        owner = segmentation.query_at(x, y)
        if owner is None:
            raise SelectionError(
                f"no query owns the pixel at ({x:g}, {y:g}): nothing was found there; lower the "
                "threshold, or choose another point"
            )
        return owner
    assert predictions.boxes_xyxy is not None
    boxes = {q: predictions.boxes_xyxy[q].tolist() for q in found}
    around = {
        q: (x1 - x0) * (y1 - y0)
        for q, (x0, y0, x1, y1) in boxes.items()
        if x0 <= x < x1 and y0 <= y < y1
    }
    if not around:
        raise SelectionError(
            f"no object's box holds the pixel at ({x:g}, {y:g}); lower the threshold, or choose "
            "another point"
        )
    return min(around, key=around.__getitem__)


def found_queries(
    predictions: QueryPredictions, segmentation: Segmentation | None, threshold: float
) -> tuple[int, ...]:
    """Queries that found an object, best score first; with masks, those that have a segment."""
    if segmentation is not None:
        queries = [query for segment in segmentation.segments for query in segment.queries]
    else:
        queries = predictions.found(threshold).tolist()
    return tuple(sorted(queries, key=lambda query: -float(predictions.object_scores[query])))
