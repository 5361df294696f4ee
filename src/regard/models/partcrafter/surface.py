"""From a field in space to meshes: a grid of values, refined where the surface is, and its skin.

The skin is found by marching cubes (Lewiner's variant, of scikit-image). Vertices lie where the
grid was sampled: upstream scales them by one cell too little at the far side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from regard.atomic import write_atomically
from regard.errors import InputError, MissingDependency

if TYPE_CHECKING:
    from collections.abc import Sequence

Field = Callable[[Tensor], Tensor]
"""Values (n,) at points (n, 3); above zero inside."""

BOUND = 1.005
"""Half the side of the cube that is searched."""
CHUNK = 50_000
"""Points that are evaluated at once."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh.

    Attributes:
        vertices: float32 (n, 3), x y z in -1 to 1.
        faces: int32 (m, 3), indices of vertices, counterclockwise seen from outside.
    """

    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]


def sample(
    field: Field,
    depth: int,
    *,
    coarse_depth: int | None = None,
    bound: float = BOUND,
    device: torch.device | str = "cpu",
) -> Tensor:
    """The field on a grid of 2^depth cells a side.

    Args:
        field: What is sampled.
        depth: How fine.
        coarse_depth: Sample everywhere with 2^coarse_depth cells only, and then finer only in
            cells that the surface runs through, and those around; by default everywhere.
        bound: Half the side of the cube.
        device: Where points are made.

    Returns:
        float32 (n, n, n), n = 2^depth + 1 points a side, its axes x, y, z.

    Raises:
        InputError: Depths out of order, or so fine that the grid takes more than 5 GB.
    """
    start = depth if coarse_depth is None else coarse_depth
    if not 1 <= start <= depth <= 10:
        raise InputError(f"depths {start} and {depth}: expected 1 <= coarse <= fine <= 10")
    values = _values(field, _grid(2**start + 1, bound, device)).reshape((2**start + 1,) * 3)
    for _ in range(start, depth):
        values = _refined(field, values, bound)
    return values


def _refined(field: Field, coarse: Tensor, bound: float) -> Tensor:
    """Twice as many cells a side: new values near the surface, interpolated ones elsewhere."""
    n = 2 * coarse.shape[0] - 1
    fine = F.interpolate(coarse[None, None], size=(n, n, n), mode="trilinear", align_corners=True)
    near = F.interpolate(_near_surface(coarse)[None, None], size=(n - 1,) * 3)
    touched = F.max_pool3d(near, 2, stride=1, padding=1)[0, 0] > 0  # cells to their corners
    index = touched.nonzero()
    axis = torch.linspace(-bound, bound, n, device=coarse.device)
    result = fine[0, 0].contiguous()
    result[tuple(index.T)] = _values(field, axis[index])
    return result


def _near_surface(values: Tensor) -> Tensor:
    """1 for the cells that the surface runs through and their neighbours, else 0: (n-1,)³."""
    inside = (values > 0).float()[None, None]
    highest = F.max_pool3d(inside, 2, stride=1)
    lowest = -F.max_pool3d(-inside, 2, stride=1)
    return F.max_pool3d(highest - lowest, 3, stride=1, padding=1)[0, 0]


def _grid(points: int, bound: float, device: torch.device | str) -> Tensor:
    axis = torch.linspace(-bound, bound, points, device=device)
    return torch.cartesian_prod(axis, axis, axis)


def _values(field: Field, points: Tensor) -> Tensor:
    return torch.cat([field(chunk).float() for chunk in torch.split(points, CHUNK)])


def skin(values: Tensor, *, bound: float = BOUND) -> Mesh | None:
    """The surface where the field is zero; None where there is none.

    Args:
        values: (n, n, n), of `sample`.
        bound: Half the side of the cube that was sampled.

    Raises:
        MissingDependency: scikit-image is not installed.
    """
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        raise MissingDependency("meshes need scikit-image; pip install 'regard[parts]'") from error
    grid = values.cpu().numpy()
    if not (grid.min() < 0 < grid.max()):
        return None
    vertices, faces, *_ = marching_cubes(grid, 0.0, method="lewiner", gradient_direction="ascent")
    place = vertices / (np.array(grid.shape) - 1) * (2 * bound) - bound
    return Mesh(place.astype(np.float32), faces.astype(np.int32))


def write_glb(
    path: Path, meshes: "Sequence[Mesh | None]", colours: "Sequence[tuple[int, int, int]]"
) -> None:
    """All parts in one GLB file, a node `part_I` and a colour each; missing parts are left out.

    Raises:
        MissingDependency: trimesh is not installed.
        InputError: No part has a surface.
    """
    trimesh = _trimesh()
    scene = trimesh.Scene()
    for index, (mesh, colour) in enumerate(zip(meshes, colours, strict=True)):
        if mesh is None:
            continue
        material = trimesh.visual.material.PBRMaterial(
            name=f"part_{index}",
            baseColorFactor=[*colour, 255],
            metallicFactor=0.0,
            roughnessFactor=0.8,
        )
        body = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        body.visual = trimesh.visual.TextureVisuals(material=material)
        scene.add_geometry(body, node_name=f"part_{index}", geom_name=f"part_{index}")
    if not scene.geometry:
        raise InputError("no part has a surface, so there is nothing to write")
    write_atomically(path, scene.export(file_type="glb"))


def _trimesh() -> Any:
    try:
        import trimesh
    except ImportError as error:
        raise MissingDependency("GLB files need trimesh; pip install 'regard[parts]'") from error
    return trimesh
