"""From a photo to the parts of a 3D object."""

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from os import PathLike

import torch
from PIL import Image
from torch import Tensor

from regard.errors import InputError, SelectionError
from regard.intercept.record import record
from regard.media.image import read_cutout, upright_rgb
from regard.models.partcrafter.checkpoint import PartCrafter, load
from regard.models.partcrafter.denoise import denoise, image_tokens, noise
from regard.models.partcrafter.flow import RectifiedFlow
from regard.models.partcrafter.photo import ObjectPhoto
from regard.models.partcrafter.surface import Mesh, sample, skin
from regard.models.partcrafter.watch import LAYERS, Watch
from regard.parts.attention import PartAttention
from regard.recording import matches
from regard.tokens.grid import GridTokens

RemoveBackground = Callable[[Image.Image], Image.Image]
"""From an RGB picture to a grey one, 255 on its object, or to one with an alpha channel."""


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
    remove_background: RemoveBackground | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    seed: int = 0,
    tokens: int | None = None,
    depth: int | None = None,
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
        model: A PartCrafter checkpoint folder, "mini-partcrafter", or one that is loaded.
        mask: Grey picture of the photo's size, 255 on the object: it is cut out and centred. By
            default the file's alpha channel; where there is none, the photo is taken as it is.
        remove_background: Makes the mask of the photo, instead of `mask`: any function from an RGB
            picture to a grey one, or to the object with an alpha channel, such as `rembg.remove`.
        steps: Denoising steps; by default the checkpoint's own, 50 for the released ones.
        guidance: Classifier-free guidance, 1 turns it off; likewise, 7.
        seed: For the noise.
        tokens: Latent tokens of a part; likewise, 1024 (upstream takes 2048 for scenes).
        depth: The field is sampled with 2^depth cells a side; likewise, 8.
        coarse_depth: Sampled everywhere with 2^coarse_depth cells, finer near the surface only;
            None samples everywhere with 2^depth.
        keep_steps: Steps whose queries and keys are kept, negative from the end.
        keep_layers: Glob of the layers whose are, such as "blocks.20.attn2".
        between_parts: Reduce also what the parts read of one another.
        on_step: Told after each step how many are done, of how many.

    Raises:
        InputError: More parts than the model has embeddings for; no object under the mask; a model
            that reads no image; a guidance that is not finite.
        SelectionError: A step that does not exist, or a glob that no layer matches.
        ModelNotFound: No such folder.
        MediaError: The photo cannot be read.
    """
    networks = model if isinstance(model, PartCrafter) else load(model)
    steps = networks.defaults.steps if steps is None else steps
    guidance = networks.defaults.guidance if guidance is None else guidance
    tokens = networks.defaults.tokens if tokens is None else tokens
    depth = networks.defaults.depth if depth is None else depth
    seen = _object_photo(photo, mask, remove_background)
    if not math.isfinite(guidance):
        raise InputError(f"guidance is {guidance}; expected a number, 1 turns it off")
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
    if not watch.blocks:
        raise InputError(
            "no layer of this model reads the image (enable_local_cross_attn and "
            "enable_global_cross_attn are off), so there is nothing to show on the photo"
        )
    if keep_steps and not any(matches(layer, keep_layers) for layer in watch.layers):
        raise SelectionError(
            f"no layer that reads the image matches {keep_layers!r}; there are: "
            f"{', '.join(watch.layers)}"
        )
    with record(networks.transformer, LAYERS, keep="qk", watch="kernels", each=watch.each):
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
        meshes=tuple(meshes_of(networks, latents, depth, coarse_depth)),
        attention=_gathered(watch, flow, keys),
        seed=seed,
        guidance=guidance,
    )


def _object_photo(
    photo: str | PathLike[str] | Image.Image,
    mask: Image.Image | None,
    remove_background: RemoveBackground | None,
) -> ObjectPhoto:
    if isinstance(photo, Image.Image):
        picture, alpha = upright_rgb(photo), None
    else:
        picture, alpha = read_cutout(photo)
    if remove_background is not None:
        if mask is not None:
            raise InputError("a mask and remove_background are given; expected one of them")
        alpha = _mask_of(remove_background(picture))
    mask = alpha if mask is None else mask
    return ObjectPhoto.whole(picture) if mask is None else ObjectPhoto.cut_out(picture, mask)


def _mask_of(made: object) -> Image.Image:
    """The mask that `remove_background` has made: a grey picture, or an alpha channel."""
    if isinstance(made, Image.Image) and "A" in made.getbands():
        return made.getchannel("A")
    if isinstance(made, Image.Image) and made.mode in ("L", "1"):
        return made.convert("L")
    mode = made.mode if isinstance(made, Image.Image) else type(made).__name__
    raise InputError(
        f"remove_background gave {mode}; expected a PIL picture: grey, 255 on the object, or with "
        "an alpha channel"
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


def meshes_of(
    model: PartCrafter, latents: Tensor, depth: int, coarse_depth: int | None
) -> Iterable[Mesh | None]:
    """The surface of each part, made when it is asked for; arguments as for `generate`."""
    for latent in latents:
        with torch.no_grad():
            tokens = model.decoder.tokens(latent[None])

            def field(points: Tensor, tokens: Tensor = tokens) -> Tensor:
                return model.decoder.values(tokens, points[None])[0, :, 0]

            coarse = None if coarse_depth is None else min(coarse_depth, depth)
            values = sample(field, depth, coarse_depth=coarse, device=latents.device)
        yield skin(values)


def _gathered(watch: Watch, flow: RectifiedFlow, keys: GridTokens) -> PartAttention:
    return PartAttention(
        means=watch.means,
        entropies=watch.entropies,
        blocks=watch.blocks,
        layouts=tuple(watch.layout(block) for block in watch.blocks),
        blind_blocks=tuple(b for b in range(watch.config.num_layers) if b not in watch.blocks),
        sigmas=tuple(flow.sigmas[:-1].tolist()),
        timesteps=tuple(flow.timesteps.tolist()),
        keys=keys,
        recording=watch.recording,
        between=watch.between,
    )


def _step(step: int, steps: int) -> int:
    if not -steps <= step < steps:
        raise SelectionError(f"step {step} does not exist; there are {steps} (0..{steps - 1})")
    return step % steps
