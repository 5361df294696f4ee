"""One page for an instance: where the model looked, which frames counted, who it was taken for."""

from collections.abc import Mapping, Sequence

from PIL import Image

from regard.figures.decoder import DecoderLook, about, map_tiles
from regard.figures.importance import WIDTH, track_chart, weight_charts
from regard.figures.subject import Subject
from regard.figures.temporal import TimeAttention
from regard.figures.tracker import IdentityFlow
from regard.render.blocks import Block, Column, Key, Named, Row
from regard.render.look import Look
from regard.render.matrix import MatrixPlot
from regard.render.page import draw_page
from regard.render.picture import Picture

_SIDE = 520


def draw_overview(
    subject: Subject,
    photos: Mapping[int, Image.Image],
    layers: Sequence[int] | None = None,
    how: DecoderLook = DecoderLook(),  # noqa: B008 - it is frozen
) -> Picture:
    """Everything about an instance on one page, as for the appendix of a paper.

    Args:
        subject: An instance, or an object query (its maps alone).
        photos: The frames that are shown, by index.
        layers: Layers of the predictor; by default all that were kept.
        how: Scale and colours of the maps.
    """
    tiles, legend = map_tiles(subject, photos, layers, how)
    blocks: list[Block] = [Column([tiles, Key(legend, WIDTH)], gap=12)]
    if subject.instance is not None and subject.video.weighs_frames:
        blocks += weight_charts(subject, 240)
    if subject.instance is not None:
        blocks.append(Named("attention along the track", track_chart(subject, layers, 260)))
    blocks += _matrices(subject)
    page = Column(blocks)
    title = subject.words[0].upper() + subject.words[1:]
    return draw_page(page.size_wh, page.draw, title=title, lines=[about(subject)])


def _matrices(subject: Subject) -> list[Block]:
    """Rollout over time, and the track's way through the object queries, beside each other."""
    found: list[Block] = []
    look = Look(cmap="viridis", high="max", unit="weight")
    names = subject.frame_names
    if subject.instance is not None and subject.video.refiner_layers:
        rolled = TimeAttention.of(subject).rollout()
        axes = ("frame", "frame it looks at")
        plot = MatrixPlot.of(
            rolled, query_names=names, key_names=names, look=look, axes=axes, side=_SIDE
        )
        found.append(Named(f"rollout over time, 0 to {rolled.max():.2f}", plot))
    if subject.instance is not None and subject.instance.track_id is not None:
        flow = IdentityFlow.of(subject, [subject.video.tracker_layers[-1]])
        found.append(Named("object queries that the tracker reads", flow.plot(0, side=_SIDE)))
    if not found:
        return []
    row = Row(found)
    if row.size_wh[0] > WIDTH:
        return found
    return [row]
