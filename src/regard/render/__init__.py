"""Arrays in, pictures out: attention over photos, by itself, by head, by layer, as a matrix.

Nothing here knows of models. matplotlib is imported when the first picture is drawn.
"""

from regard.render.boxes import draw_boxes
from regard.render.colour import Scale
from regard.render.heads import draw_heads
from regard.render.heatmap import draw_heatmap
from regard.render.layers import draw_layers
from regard.render.look import Look
from regard.render.matrix import draw_matrix
from regard.render.overlay import draw_overlay
from regard.render.panels import Dot, Panel, draw_panels
from regard.render.picture import Picture
from regard.render.segments import draw_segments
from regard.render.summary import draw_summary
from regard.render.words import draw_word_frames, draw_words

__all__ = [
    "Dot",
    "Look",
    "Panel",
    "Picture",
    "Scale",
    "draw_boxes",
    "draw_heads",
    "draw_heatmap",
    "draw_layers",
    "draw_matrix",
    "draw_overlay",
    "draw_panels",
    "draw_segments",
    "draw_summary",
    "draw_word_frames",
    "draw_words",
]
