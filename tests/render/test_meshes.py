"""Pictures of meshes."""

import numpy as np
import numpy.typing as npt
import pytest

from regard.errors import GeometryError
from regard.render.meshes import ColouredMesh, render_meshes
from regard.render.style import Colour

RED, BLUE = (220, 40, 40), (40, 40, 220)
FACES = np.array([[0, 1, 2], [0, 2, 3]])


def square(z: float, colour: Colour, half: float = 0.5, y: float = 0.0) -> ColouredMesh:
    """A square that faces the front."""
    corners = [(-half, y - half, z), (half, y - half, z), (half, y + half, z), (-half, y + half, z)]
    return ColouredMesh(np.array(corners, np.float32), FACES, colour)


def seen(image: npt.NDArray[np.uint8], x: float, y: float) -> str:
    """What is at a place, -1 to 1 from the middle."""
    side = len(image)
    red, _, blue = image[round((1 - y) / 2 * side), round((1 + x) / 2 * side)].tolist()
    if red > 240 and blue > 240:
        return "paper"
    return "red" if red > blue else "blue"


def test_the_nearer_hides_the_farther_in_any_order() -> None:
    near, far = square(0.5, RED), square(-0.5, BLUE)
    for meshes in ([near, far], [far, near]):
        image = render_meshes(meshes, 100, azimuth=0, elevation=0)
        assert image.shape == (100, 100, 3)
        assert seen(image, 0, 0) == "red"
        assert seen(image, 0.9, 0.9) == "paper"
    behind = render_meshes([near, far], 100, azimuth=np.pi, elevation=0)
    assert seen(behind, 0, 0) == "blue"


def test_up_is_up_and_right_is_right() -> None:
    image = render_meshes([square(0, RED, 0.3, 0.6)], 100, azimuth=0, elevation=0)
    assert seen(image, 0, 0.45) == "red"
    assert seen(image, 0, -0.45) == "paper"
    turned = render_meshes([square(0.9, RED, 0.1)], 100, azimuth=-np.pi / 4, elevation=0)
    assert seen(turned, 0.47, 0) == "red", "seen from the left, the front is to the right"


def test_pulled_apart() -> None:
    lower, upper = square(0, BLUE, 0.2, -0.2), square(0, RED, 0.2, 0.2)
    together = render_meshes([lower, upper], 200, azimuth=0, elevation=0)
    apart = render_meshes([lower, upper], 200, azimuth=0, elevation=0, apart=1.0)
    assert seen(together, 0, 0.02) == "red"
    assert seen(apart, 0, 0.02) == "paper"


def test_nothing_is_a_white_page_and_a_missing_vertex_an_error() -> None:
    assert (render_meshes([], 20) == 255).all()
    with pytest.raises(GeometryError, match="vertex 3, there are 3"):
        render_meshes([ColouredMesh(np.zeros((3, 3), np.float32), FACES, RED)])
