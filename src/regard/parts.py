"""From a photo to the parts of a 3D object, and which of its pixels shaped which part."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from regard.attention import indices
from regard.errors import InputError, SelectionError
from regard.intercept.record import record
from regard.media.image import read_image
from regard.models.partcrafter.checkpoint import PartCrafter, load
from regard.models.partcrafter.denoise import TOKENS, denoise, image_tokens, noise
from regard.models.partcrafter.flow import RectifiedFlow
from regard.models.partcrafter.photo import ObjectPhoto
from regard.models.partcrafter.surface import Mesh, sample, skin
from regard.models.partcrafter.watch import LAYERS, Layout, Watch
from regard.recording import Recording
from regard.spread import Between
from regard.tokens import GridTokens

logger = logging.getLogger("regard")

Pick = int | Sequence[int] | slice | None


@dataclass(frozen=True, eq=False, kw_only=True)
class PartAttention:
    """What each part looked at in the photo, over all steps, layers and heads of a run.

    Weights are those of the rows that see the image, averaged over a part's latent tokens; the
    token that tells the time is left out.

    Attributes:
        means: float32 (steps, layers, parts, heads, keys).
        entropies: float32 (steps, layers, parts, heads), mean entropy of a token's row, in nats.
        blocks: Transformer block of each entry of the layer axis.
        layouts: "local" (parts attend one by one) or "global" (together), likewise.
        blind_blocks: Blocks that read zeros instead of the image; nothing is drawn for them.
        sigmas: Share of noise before each step.
        timesteps: Time of each step, 1000 to 0.
        keys: What the keys stand for: the class token, then patches on the photo.
        recording: Every call of the steps and layers that were kept, one for each part.
        between: float32 (steps, global layers, parts, parts): what the tokens of a part read of
            each part; None if it was not asked for.
    """

    means: Tensor
    entropies: Tensor
    blocks: tuple[int, ...]
    layouts: tuple[Layout, ...]
    blind_blocks: tuple[int, ...]
    sigmas: tuple[float, ...]
    timesteps: tuple[float, ...]
    keys: GridTokens
    recording: Recording
    between: Tensor | None = None

    def weights(self, *, steps: Pick = None, layers: Pick = None, heads: Pick = None) -> Tensor:
        """Mean weights of each part over a choice of steps, layers and heads.

        Args:
            steps: Indices of steps; None for all.
            layers: Indices on the layer axis (see `blocks`); None for all.
            heads: Indices of heads; None for all.

        Returns:
            (parts, keys); each row sums to 1, the class token included.

        Raises:
            SelectionError: An index that does not exist.
        """
        chosen = self.means
        for axis, (name, pick) in enumerate((("step", steps), ("layer", layers))):
            chosen = chosen.index_select(axis, _indices(pick, chosen.shape[axis], name))
        chosen = chosen.index_select(3, _indices(heads, chosen.shape[3], "head"))
        return chosen.mean((0, 1, 3))

    def heat(
        self,
        *,
        size_hw: tuple[int, int] | None = None,
        between: Between = "linear",
        steps: Pick = None,
        layers: Pick = None,
        heads: Pick = None,
        centred: bool = False,
    ) -> Tensor:
        """Weight per pixel of the photo, for each part.

        Args:
            size_hw: Size of the maps; by default the photo's.
            between: "cells" or "linear", as for every layout of tokens.
            steps: As for `weights`.
            layers: As for `weights`.
            heads: As for `weights`.
            centred: Subtract the mean over parts: background patches that every part looks at
                (DINOv2 has some) cancel, what a part looks at more than the others stays.

        Returns:
            (parts, height, width); NaN where the model did not see the photo.
        """
        weights = self.weights(steps=steps, layers=layers, heads=heads)
        if centred:
            weights = weights - weights.mean(0, keepdim=True)
        return self.keys.to_pixels(weights, size_hw, between=between)

    @property
    def class_mass(self) -> Tensor:
        """What the class token took, mean over heads: (steps, layers, parts)."""
        return self.means[..., 0].mean(-1)

    def part_at(self, x: float, y: float) -> Tensor:
        """How the attention on a point of the photo divides among parts: (parts,), sums to 1."""
        column = self.weights()[:, self.keys.at(x, y)]
        return column / column.sum()


@dataclass(frozen=True, eq=False, kw_only=True)
class Generation:
    """The parts made of a photo.

    Attributes:
        photo: The photo, and the square picture of its object that the model saw.
        latents: (parts, tokens, channels).
        meshes: Of each part; None where its field has no surface.
        attention: What each part looked at.
        seed: That the noise was drawn with.
        guidance: That the run used.
    """

    photo: ObjectPhoto
    latents: Tensor
    meshes: tuple[Mesh | None, ...]
    attention: PartAttention
    seed: int
    guidance: float

    @property
    def empty_parts(self) -> tuple[int, ...]:
        """Parts without a surface."""
        return tuple(i for i, mesh in enumerate(self.meshes) if mesh is None)


def generate(
    photo: str | PathLike[str] | Image.Image,
    parts: int,
    *,
    model: PartCrafter | str | PathLike[str],
    mask: Image.Image | None = None,
    steps: int = 50,
    guidance: float = 7.0,
    seed: int = 0,
    tokens: int = TOKENS,
    depth: int = 8,
    coarse_depth: int | None = 6,
    keep_steps: Collection[int] = (-1,),
    keep_layers: str = "*",
    between_parts: bool = False,
    on_step: Callable[[int, int], None] | None = None,
) -> Generation:
    """Make the parts of the object in a photo, and record what each part looks at.

    Args:
        photo: A file or an RGB picture.
        parts: How many parts to make.
        model: A PartCrafter checkpoint folder, or one that is loaded.
        mask: Grey picture of the photo's size, 255 on the object: it is cut out and centred.
            Without, the photo is taken as it is.
        steps: Denoising steps.
        guidance: Classifier-free guidance; 1 turns it off.
        seed: For the noise.
        tokens: Latent tokens of a part.
        depth: The field is sampled with 2^depth cells a side.
        coarse_depth: Sampled everywhere with 2^coarse_depth cells, finer near the surface only;
            None samples everywhere with 2^depth.
        keep_steps: Steps whose queries and keys are kept, negative from the end.
        keep_layers: Glob of the layers whose are, such as "blocks.20.attn2".
        between_parts: Reduce also what the parts read of one another.
        on_step: Told after each step how many are done, of how many.

    Raises:
        InputError: More parts than the model has embeddings for; no object under the mask.
        ModelNotFound: No such folder.
        MediaError: The photo cannot be read.
    """
    networks = model if isinstance(model, PartCrafter) else load(Path(model))
    picture = photo if isinstance(photo, Image.Image) else read_image(photo)
    seen = ObjectPhoto.whole(picture) if mask is None else ObjectPhoto.cut_out(picture, mask)
    flow = RectifiedFlow.from_json(steps, networks.schedule)
    start, keys = noise(networks, parts, tokens, seed), image_keys(networks, seen)
    watch = Watch(
        config=networks.transformer.config,
        parts=parts,
        tokens=tokens,
        guided=guidance > 1,
        times=list(zip(flow.sigmas.tolist(), flow.timesteps.tolist(), strict=False)),
        keys=keys,
        keep_steps=[_step(step, steps) for step in keep_steps],
        keep_layers=keep_layers,
        between_parts=between_parts,
    )
    with record(networks.transformer, LAYERS, keep="qk", each=watch.each):
        latents = denoise(
            networks,
            image_tokens(networks, seen),
            start,
            flow,
            guidance=guidance,
            on_step=lambda step, _: on_step(step + 1, steps) if on_step else None,
        )
    return Generation(
        photo=seen,
        latents=latents,
        meshes=tuple(_meshes(networks, latents, depth, coarse_depth)),
        attention=_gathered(watch, flow, keys),
        seed=seed,
        guidance=guidance,
    )


def image_keys(model: PartCrafter, photo: ObjectPhoto) -> GridTokens:
    """What the image tokens stand for on the photo: the class token, then patches."""
    picture = photo.picture
    view = model.preprocessing.view((picture.height, picture.width), photo.view)
    rows, columns = (
        side // patch for side, patch in zip(view.input_hw, model.patch_hw, strict=True)
    )
    return GridTokens(
        rows * columns + 1,
        grid_hw=(rows, columns),
        stride_px=model.patch_hw,
        view=view,
        prefix=("cls",),
    )


def _meshes(
    model: PartCrafter, latents: Tensor, depth: int, coarse_depth: int | None
) -> Iterable[Mesh | None]:
    for index, latent in enumerate(latents):
        with torch.no_grad():
            tokens = model.decoder.tokens(latent[None])

            def field(points: Tensor, tokens: Tensor = tokens) -> Tensor:
                return model.decoder.values(tokens, points[None])[0, :, 0]

            values = sample(field, depth, coarse_depth=coarse_depth, device=latents.device)
        mesh = skin(values)
        if mesh is None:
            logger.warning("part %d has no surface: its field is nowhere zero", index)
        yield mesh


def _gathered(watch: Watch, flow: RectifiedFlow, keys: GridTokens) -> PartAttention:
    blocks = tuple(sorted({block for _, block in watch.means}))
    if not blocks:
        raise InputError(
            "no layer of this model reads the image (enable_local_cross_attn and "
            "enable_global_cross_attn are off), so there is nothing to show on the photo"
        )
    among = sorted({block for _, block in watch.between})
    return PartAttention(
        means=_stacked(watch.means, flow.steps, blocks),
        entropies=_stacked(watch.entropies, flow.steps, blocks),
        blocks=blocks,
        layouts=tuple(watch.layout(block) for block in blocks),
        blind_blocks=tuple(b for b in range(watch.config.num_layers) if b not in blocks),
        sigmas=tuple(flow.sigmas[:-1].tolist()),
        timesteps=tuple(flow.timesteps.tolist()),
        keys=keys,
        recording=watch.recording,
        between=_stacked(watch.between, flow.steps, among) if among else None,
    )


def _stacked(found: dict[tuple[int, int], Tensor], steps: int, blocks: Sequence[int]) -> Tensor:
    return torch.stack([torch.stack([found[s, b] for b in blocks]) for s in range(steps)])


def _step(step: int, steps: int) -> int:
    if not -steps <= step < steps:
        raise SelectionError(f"step {step} does not exist; there are {steps} (0..{steps - 1})")
    return step % steps


def _indices(pick: Pick, count: int, what: str) -> Tensor:
    found = indices(pick, count, what)
    return torch.arange(count) if found is None else found
