"""Fields in space, their skins, and the way back from the surface to the photo."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from regard.errors import InputError, SelectionError
from regard.models.partcrafter.checkpoint import PartCrafter
from regard.models.partcrafter.surface import BOUND, Mesh, sample, skin, write_glb
from regard.parts.generation import generate
from regard.parts.surface import pixels_of_points, tokens_of_points

RADIUS = 0.7


def ball(points: Tensor) -> Tensor:
    return RADIUS - points.square().sum(-1).sqrt()


def test_vertices_lie_on_the_surface() -> None:
    mesh = skin(sample(ball, 6))
    assert mesh is not None
    distance = np.linalg.norm(mesh.vertices, axis=1)
    cell = 2 * BOUND / 2**6
    # linear interpolation of a curved field is off by a fraction of the cell squared
    np.testing.assert_allclose(distance, RADIUS, atol=cell**2)
    assert np.abs(mesh.vertices.mean(0)).max() < 1e-3, "centred: no cell is lost at the far side"


def test_faces_run_counterclockwise_seen_from_outside() -> None:
    mesh = skin(sample(ball, 5))
    assert mesh is not None
    a, b, c = mesh.vertices[mesh.faces].swapaxes(0, 1)
    volume = np.einsum("ij,ij->", a, np.cross(b, c)) / 6
    assert volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.02)


def test_refinement_finds_the_same_surface_with_fewer_points() -> None:
    counted = {"fine": 0, "coarse": 0}

    def counting(name: str, points: Tensor) -> Tensor:
        counted[name] += len(points)
        return ball(points)

    fine = skin(sample(lambda points: counting("fine", points), 6))
    refined = skin(sample(lambda points: counting("coarse", points), 6, coarse_depth=4))
    assert fine is not None
    assert refined is not None
    assert np.array_equal(fine.vertices, refined.vertices)
    assert np.array_equal(fine.faces, refined.faces)
    assert counted["coarse"] < counted["fine"] / 2


def test_a_field_without_zeros_has_no_skin() -> None:
    assert skin(sample(lambda points: points[:, 0] * 0 - 1, 3)) is None
    with pytest.raises(InputError, match="1 <= coarse <= fine <= 10"):
        sample(ball, 11)
    with pytest.raises(InputError, match="1 <= coarse <= fine"):
        sample(ball, 4, coarse_depth=5)


def test_a_glb_holds_a_coloured_node_for_each_part(tmp_path: Path) -> None:
    import trimesh

    mesh = skin(sample(ball, 4))
    assert mesh is not None
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    write_glb(tmp_path / "object.glb", [mesh, None, mesh], colours)
    scene = trimesh.load_scene(tmp_path / "object.glb")
    assert set(scene.geometry) == {"part_0", "part_2"}
    blue = scene.geometry["part_2"]
    assert blue.visual.material.baseColorFactor.tolist() == [0, 0, 255, 255]
    np.testing.assert_allclose(blue.vertices, mesh.vertices, atol=1e-6)
    with pytest.raises(InputError, match="no part has a surface"):
        write_glb(tmp_path / "none.glb", [None], colours[:1])
    assert not (tmp_path / "none.glb").exists()


def test_points_read_tokens_and_tokens_pixels(
    model: PartCrafter, official: dict[str, Tensor], parity: Path
) -> None:
    points = official["vae.points"][0]
    reads = tokens_of_points(model, official["latents"][-1][1], points)
    expected = official["vae.decoder.last.attn2.attn"][1].mean(0)
    torch.testing.assert_close(reads, expected, rtol=0, atol=1e-5)

    made = generate(parity / "image.png", 2, model=model, steps=2, tokens=16, depth=3)
    attributed = pixels_of_points(model, made, 1, points, layers="blocks.4.attn2")
    assert attributed.shape == (200, 257)
    torch.testing.assert_close(attributed.sum(-1), torch.ones(200))
    call = made.attention.recording.find("blocks.4.attn2", part=1)[0]
    by_hand = tokens_of_points(model, made.latents[1], points) @ call.weights()[0, :, 1:].mean(0)
    torch.testing.assert_close(attributed, by_hand)
    bare = generate(
        parity / "image.png", 2, model=model, steps=2, tokens=16, depth=3, keep_steps=()
    )
    with pytest.raises(SelectionError, match="keep_steps"):
        pixels_of_points(model, bare, 0, points)


def test_a_mesh_is_plain_arrays() -> None:
    mesh = skin(sample(ball, 3))
    assert isinstance(mesh, Mesh)
    assert mesh.vertices.dtype == np.float32
    assert mesh.faces.dtype == np.int32
