"""Triangle meshes as pictures: shaded, seen from any side, hidden surfaces hidden.

Triangles are painted from the farthest to the nearest. That is exact enough where they are small,
and needs no graphics card.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from regard.errors import GeometryError
from regard.render.arrays import Pixels
from regard.render.style import PAPER, Colour

Vectors = npt.NDArray[np.float32]

_FINER = 2  # drawn so many times larger, for smooth edges
_HALF_VIEW = 1.35  # of space, to each side of the middle
_LAMP = (-0.45, 0.75, 0.55)


@dataclass(frozen=True, eq=False)
class ColouredMesh:
    """A mesh of one colour.

    Attributes:
        vertices: float32 (n, 3), x y z; y points up.
        faces: int (m, 3), indices of vertices.
        colour: Red, green, blue from 0 to 255.
    """

    vertices: Vectors
    faces: npt.NDArray[np.integer]
    colour: Colour


def render_meshes(
    meshes: Sequence[ColouredMesh],
    size_px: int = 360,
    *,
    azimuth: float = 0.35,
    elevation: float = 0.35,
    apart: float = 0.0,
) -> Pixels:
    """A square picture of meshes in the cube from -1 to 1, without perspective.

    Args:
        meshes: What to draw.
        size_px: Height and width.
        azimuth: Radians around the y axis from the front, which is towards +z.
        elevation: Radians above the ground.
        apart: How far meshes are pulled away from one another, as a share of their distance from
            their common middle.

    Returns:
        uint8 (size, size, 3).

    Raises:
        GeometryError: Faces that name a vertex that is not there.
    """
    for mesh in meshes:
        if len(mesh.faces) and int(mesh.faces.max()) >= len(mesh.vertices):
            raise GeometryError(
                f"a face names vertex {int(mesh.faces.max())}, there are {len(mesh.vertices)}"
            )
    drawn = [mesh for mesh in meshes if len(mesh.faces)]
    side = size_px * _FINER
    canvas = Image.new("RGB", (side, side), PAPER)
    if drawn:
        corners, colours = _triangles(drawn, apart)
        turned = corners @ _turn(azimuth, elevation).T
        _paint(canvas, turned, _shaded(corners, colours), side / (2 * _HALF_VIEW + apart))
    return np.asarray(canvas.resize((size_px, size_px), Image.Resampling.BOX))


def _triangles(meshes: Sequence[ColouredMesh], apart: float) -> tuple[Vectors, Vectors]:
    """Corners (triangles, 3, 3) and colours (triangles, 3) of all meshes, pulled apart."""
    middles = np.array([(m.vertices.min(0) + m.vertices.max(0)) / 2 for m in meshes])
    shifts = apart * (middles - middles.mean(0))
    corners = [(m.vertices + s)[m.faces] for m, s in zip(meshes, shifts, strict=True)]
    colours = [np.tile(np.array(m.colour, np.float32), (len(m.faces), 1)) for m in meshes]
    return np.concatenate(corners).astype(np.float32), np.concatenate(colours)


def _turn(azimuth: float, elevation: float) -> Vectors:
    """Rows: to the right, up, and towards the eye."""
    back = np.array(
        [
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
            np.cos(azimuth) * np.cos(elevation),
        ]
    )
    right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
    return np.stack([right, np.cross(back, right), back]).astype(np.float32)


def _shaded(corners: Vectors, colours: Vectors) -> npt.NDArray[np.uint8]:
    """Colours under a lamp, of corners that run counterclockwise seen from outside."""
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing /= np.maximum(np.linalg.norm(facing, axis=-1, keepdims=True), 1e-12)
    lamp = np.array(_LAMP, np.float32) / np.linalg.norm(_LAMP)
    light = 0.62 + 0.4 * np.clip(facing @ lamp, -0.6, 1)
    lit = np.clip(colours * light[:, None] + 12 * (light[:, None] > 0.9), 0, 255)
    return np.asarray(lit, np.uint8)


def _paint(
    canvas: Image.Image, turned: Vectors, colours: npt.NDArray[np.uint8], scale: float
) -> None:
    draw, middle = ImageDraw.Draw(canvas), canvas.width / 2
    across, down = middle + scale * turned[..., 0], middle - scale * turned[..., 1]
    places = np.stack([across, down], -1).reshape(-1, 6)
    for index in turned[..., 2].mean(1).argsort():
        draw.polygon(places[index].tolist(), fill=tuple(colours[index].tolist()))
