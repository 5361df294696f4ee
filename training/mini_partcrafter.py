"""Train `mini-partcrafter`: photos of generated solids to the parts of a 3D object.

    python training/mini_partcrafter.py shapes photos autoencoder encoder flow ship

Six stages, each of which can be stopped and started again: it goes on where it was. Everything in
between lies in the folder `--work`; `ship` writes the checkpoint into the package.

1. shapes: points on and around every part of the training things
2. photos: pictures of them, and what each patch shows
3. autoencoder: points of a part to latent tokens to a field (KL, cross-entropy)
4. encoder: a small DINOv2 that tells part and place of each patch, then frozen
5. flow: noise to the latents of all parts, given the picture (rectified flow)
6. ship: float16 weights in the folders of a PartCrafter checkpoint
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.format import open_memmap
from safetensors.torch import save_file
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from transformers import Dinov2Config, Dinov2Model

from regard.datasets.solids import KINDS, photograph, solid
from regard.models.partcrafter.transformer import PartTransformer, TransformerConfig
from regard.models.partcrafter.vae import (
    FieldDecoder,
    FieldDecoderConfig,
    PointBlock,
    SelfBlock,
)

FIRST_SEED = 1_000_000
"""Things of these seeds and up are for training; held-out ones have small seeds."""
MOST_PARTS = 4
SIZE_PX, PATCH_PX = 96, 8
POINTS, SAMPLES = 192, 512
READ = 64
"""Points of a part that the encoder reads at once."""
TOKENS, CHANNELS = 8, 16
SOFTNESS = 0.02
"""Distance over which the field goes from one side of the surface to the other."""
MINUTES = {"autoencoder": 5.0, "encoder": 6.0, "flow": 20.0}
"""Processor time of each training on one thread; how far it gets depends on the processor."""
VIEWS = 4
"""Sets of latent tokens that each part is encoded to: each starts from other points."""

DECODER: dict[str, Any] = {
    "latent_channels": CHANNELS,
    "num_attention_heads": 4,
    "width_decoder": 64,
    "num_layers_decoder": 2,
    "embed_frequency": 5,
    "embed_include_pi": False,
}
TRANSFORMER: dict[str, Any] = {
    "num_attention_heads": 4,
    "width": 64,
    "in_channels": CHANNELS,
    "num_layers": 5,
    "cross_attention_dim": 64,
    "max_num_parts": 2 * MOST_PARTS,
    "enable_part_embedding": True,
    "enable_local_cross_attn": True,
    "enable_global_cross_attn": True,
    "global_attn_block_ids": [0, 2, 4],
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PREPROCESSING: dict[str, Any] = {
    "do_resize": True,
    "size": {"shortest_edge": SIZE_PX},
    "do_center_crop": True,
    "crop_size": {"height": SIZE_PX, "width": SIZE_PX},
    "do_rescale": True,
    "do_normalize": True,
    "image_mean": MEAN,
    "image_std": STD,
    "resample": 3,
}
GENERATION: dict[str, Any] = {"steps": 20, "guidance": 1.5, "tokens": TOKENS, "depth": 6}


# ---- the training things ------------------------------------------------------------------------


def shapes(work: Path, count: int) -> None:
    """Points on the surface of every part with normals, and samples of its distance around it."""
    surface = _array(work / "surface.npy", (count, MOST_PARTS, POINTS, 6), np.float16)
    samples = _array(work / "samples.npy", (count, MOST_PARTS, SAMPLES, 4), np.float16)
    counts = _array(work / "counts.npy", (count,), np.int8)
    kinds = _array(work / "kinds.npy", (count,), np.int8)
    for index in _unfinished(counts, "shapes"):
        thing, random = solid(FIRST_SEED + index), np.random.default_rng(index)
        kinds[index] = list(KINDS).index(thing.kind)
        for number, part in enumerate(thing.parts):
            on_it, out = part.surface(POINTS, random)
            surface[index, number] = np.concatenate([on_it, out], -1)
            spread = random.choice([0.02, 0.08], (SAMPLES // 2, 1))
            near = on_it[random.integers(POINTS, size=SAMPLES // 2)]
            near = near + random.normal(0, 1, near.shape) * spread
            low, high = part.box
            around = random.uniform(low - 0.1, high + 0.1, (SAMPLES // 4, 3))
            far = random.uniform(-1, 1, (SAMPLES - SAMPLES // 2 - SAMPLES // 4, 3))
            points = np.concatenate([near, around, far]).astype(np.float32)
            samples[index, number, :, :3] = points
            samples[index, number, :, 3] = part.distance(points)
        counts[index] = len(thing.parts)


def photos(work: Path, count: int) -> None:
    """A photo of each thing, the share of each part in every patch, and where its surface is."""
    side = SIZE_PX // PATCH_PX
    images = _array(work / "images.npy", (count, SIZE_PX, SIZE_PX, 3), np.uint8)
    shares = _array(work / "shares.npy", (count, side * side, MOST_PARTS + 1), np.uint8)
    places = _array(work / "places.npy", (count, side * side, 3), np.float16)
    done = _array(work / "photographed.npy", (count,), np.int8)
    for index in _unfinished(done, "photos"):
        photo = photograph(solid(FIRST_SEED + index), SIZE_PX)
        images[index] = photo.image
        ids, where = _patches(photo.part_ids), _patches(photo.places)
        one_hot = np.arange(-1, MOST_PARTS) == ids
        shares[index] = one_hot.sum(1)
        seen = np.isfinite(where)
        total = np.where(seen, where, 0).sum(1)
        places[index] = total / np.maximum(seen.sum(1), 1)
        done[index] = 1


def _patches(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(height, width, ...) as (patches, pixels of each, channels)."""
    side = SIZE_PX // PATCH_PX
    cut = pixels.reshape(side, PATCH_PX, side, PATCH_PX, -1).swapaxes(1, 2)
    return cut.reshape(side * side, PATCH_PX**2, -1)


def _array(path: Path, shape: tuple[int, ...], kind: Any) -> np.ndarray[Any, Any]:
    if path.is_file():
        return open_memmap(path, mode="r+")
    return open_memmap(path, mode="w+", dtype=kind, shape=shape)


def _unfinished(marks: np.ndarray[Any, Any], what: str) -> Iterator[int]:
    for index in np.flatnonzero(marks == 0).tolist():
        if index % 250 == 0:
            print(f"{what} {index}/{len(marks)}", flush=True)
        yield index


# ---- the autoencoder ----------------------------------------------------------------------------


class PartEncoder(nn.Module):
    """Points of a part to its latent tokens; only training needs it.

    A few of the points ask the others, so a token begins as a point of the surface.
    """

    def __init__(self, width: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.proj_in = nn.Linear(6 + 6 * 5, width)
        self.reads = PointBlock(width, heads)
        self.blocks = nn.ModuleList(SelfBlock(width, heads) for _ in range(2))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, 2 * CHANNELS)

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, (parts, tokens, channels).

        Args:
            points: (parts, points, 6), places and normals; the first become tokens.
        """
        angles = (points[..., :3, None] * 2.0 ** torch.arange(5)).flatten(-2)
        known = self.proj_in(torch.cat([points, angles.sin(), angles.cos()], -1))
        tokens = self.reads(known[:, :TOKENS], known)
        for block in self.blocks:
            tokens = block(tokens)
        mean, log_variance = self.out(self.norm(tokens)).chunk(2, -1)
        return mean, log_variance.clamp(-8, 4)


def autoencoder(work: Path, minutes: float) -> None:
    """Train encoder and decoder together, then encode every part."""
    surface, samples, counts = (_loaded(work, n) for n in ("surface", "samples", "counts"))
    parts = (torch.arange(MOST_PARTS) < counts[:, None]).nonzero()
    encode, decode = PartEncoder(), FieldDecoder(FieldDecoderConfig.from_json(DECODER))
    model = nn.ModuleDict({"encode": encode, "decode": decode})

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        one, which = parts[torch.randint(len(parts), (32,), generator=generator)].T
        chosen = torch.randint(SAMPLES, (32, 96), generator=generator)
        points, at = surface[one, which].float(), samples[one, which].float()
        at = at.gather(1, chosen[..., None].expand(-1, -1, 4))
        mean, log_variance = encode(_some(points, generator))
        noise = torch.randn(mean.shape, generator=generator)
        latents = mean + noise * (log_variance / 2).exp()
        logits = decode(latents, at[..., :3])[..., 0]
        target = torch.sigmoid(-at[..., 3] / SOFTNESS)
        told = F.binary_cross_entropy_with_logits(logits, target)
        floor = F.binary_cross_entropy(target, target)
        prior = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        with torch.no_grad():
            inside, meant = logits > 0, at[..., 3] < 0
            iou = (inside & meant).sum() / (inside | meant).sum()
        return {
            "loss": told - floor + 2e-3 * prior,
            "excess": told - floor,
            "kl": prior,
            "iou": iou,
        }

    _train(work / "autoencoder.pt", model, loss, minutes, rate=2e-3)
    model.load_state_dict(_averaged(work / "autoencoder.pt"))
    _encode(work, encode.eval(), surface, counts)


def _some(points: Tensor, generator: torch.Generator) -> Tensor:
    """Some of the points of each part, in any order."""
    order = torch.rand(points.shape[:2], generator=generator).argsort(-1)[:, :READ]
    return points.gather(1, order[..., None].expand(-1, -1, points.shape[-1]))


@torch.no_grad()
def _encode(work: Path, encode: PartEncoder, surface: Tensor, counts: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (len(counts), MOST_PARTS, VIEWS, TOKENS, CHANNELS)
    found = torch.zeros(shape)
    for start in range(0, len(counts), 100):
        points = surface[start : start + 100].float().flatten(0, 1)
        for view in range(VIEWS):
            mean, _ = encode(_some(points, generator))
            found[start : start + 100, :, view] = mean.unflatten(0, (-1, MOST_PARTS))
    real = found[torch.arange(MOST_PARTS) < counts[:, None]].flatten(0, -2)
    torch.save({"latents": found, "mean": real.mean(0), "std": real.std(0)}, work / "latents.pt")
    print("latents: std", [round(x, 2) for x in real.std(0).tolist()], flush=True)


# ---- the image encoder --------------------------------------------------------------------------


def _dinov2() -> Dinov2Model:
    return Dinov2Model(
        Dinov2Config(
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=SIZE_PX,
            patch_size=PATCH_PX,
        )
    )


class Telling(nn.Module):
    """What the image encoder is asked while it is trained: kind, and part and place of patches."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _dinov2()
        with torch.no_grad():
            self.encoder.embeddings.position_embeddings[0, 1:] = _waves(SIZE_PX // PATCH_PX, 64)
        self.part, self.place = nn.Linear(64, MOST_PARTS + 1), nn.Linear(64, 3)
        self.kind, self.parts = nn.Linear(64, len(KINDS)), nn.Linear(64, MOST_PARTS + 1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Logits of part, kind and number of parts, and places, of images (n, 3, height, width)."""
        tokens = self.encoder(pixels).last_hidden_state
        whole, patches = tokens[:, 0], tokens[:, 1:]
        return self.part(patches), self.kind(whole), self.parts(whole), self.place(patches)


def _waves(side: int, width: int) -> Tensor:
    """Where position embeddings begin, (side², width): sines and cosines of row and column."""
    places = torch.cartesian_prod(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side))
    angles = places[..., None] * torch.logspace(0, 1.2, width // 4)
    return 0.5 * torch.cat([angles.sin(), angles.cos()], -1).flatten(1)


def encoder(work: Path, minutes: float) -> None:
    """Train the image encoder, then keep its tokens of every photo."""
    images, shares, places, counts, kinds = (
        _loaded(work, name) for name in ("images", "shares", "places", "counts", "kinds")
    )
    model = Telling()

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        one = torch.randint(len(images), (16,), generator=generator)
        part, kind, parts, place = model(_pixels(images[one]))
        target = shares[one].float() / PATCH_PX**2
        told = F.cross_entropy(part.flatten(0, 1), target.flatten(0, 1))
        seen = 1 - target[..., :1]
        miss = ((place - places[one].float()).abs() * seen).sum() / (3 * seen.sum())
        known = F.cross_entropy(kind, kinds[one].long()) + F.cross_entropy(
            parts, counts[one].long()
        )
        with torch.no_grad():
            right = (part.argmax(-1) == target.argmax(-1))[target[..., 0] < 0.5].float().mean()
        return {
            "loss": told + 2 * miss + 0.1 * known,
            "part": told,
            "place": miss,
            "kind": known,
            "right": right,
        }

    _train(work / "encoder.pt", model, loss, minutes, rate=1.5e-3)
    model.load_state_dict(_averaged(work / "encoder.pt"))
    model.eval()
    with torch.no_grad():
        found = [
            model.encoder(_pixels(images[i : i + 50])).last_hidden_state.half()
            for i in range(0, len(images), 50)
        ]
    torch.save(torch.cat(found), work / "tokens.pt")


def _pixels(images: Tensor) -> Tensor:
    scaled = images.permute(0, 3, 1, 2).float() / 255
    return (scaled - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


# ---- the flow -----------------------------------------------------------------------------------


def flow(work: Path, minutes: float) -> None:
    """Train the transformer: from noise to the latents of all parts of a thing."""
    tokens = torch.load(work / "tokens.pt")
    counts = _loaded(work, "counts").long()[: len(tokens)]
    kept = torch.load(work / "latents.pt")
    latents = (kept["latents"] - kept["mean"]) / kept["std"]
    of_count = {p: (counts == p).nonzero()[:, 0] for p in sorted(set(counts.tolist()))}
    model = PartTransformer(TransformerConfig.from_json(TRANSFORMER))
    share = torch.tensor([float(len(found)) for found in of_count.values()])

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        parts = list(of_count)[int(torch.multinomial(share, 1, generator=generator))]
        things = 42 // parts
        found = of_count[parts]
        one = found[torch.randint(len(found), (things,), generator=generator)]
        view = torch.randint(VIEWS, (things, parts), generator=generator)
        clean = latents[one[:, None], torch.arange(parts), view].flatten(0, 1)
        noise = _matched(torch.randn(clean.shape, generator=generator), clean)
        sigma = torch.sigmoid(torch.randn(things, generator=generator)).repeat_interleave(parts)
        mixed = torch.lerp(clean, noise, sigma[:, None, None])
        blind = torch.rand(things, generator=generator) < 0.1
        image = torch.where(blind[:, None, None], 0.0, tokens[one].float())
        # as they are counted when it generates: with guidance, rows with the image come second
        second = ~blind & (torch.rand(things, generator=generator) < 0.75)
        ids = torch.arange(parts) + parts * second[:, None]
        out = model(mixed, 1000 * sigma, image, [parts] * things, ids.flatten())
        error = (out - (clean - noise)).square().mean((1, 2))
        return {"loss": error.mean()}

    _train(work / "flow.pt", model, loss, minutes, rate=2e-3)


def _matched(noise: Tensor, clean: Tensor) -> Tensor:
    """The noise of each part with its tokens in the order that is nearest to the clean ones.

    Tokens of a part have no order, so this changes no distribution; paths become straighter
    (optimal transport within a set).
    """
    far = torch.cdist(noise, clean).square().numpy()
    order = np.stack([linear_sum_assignment(one.T)[1] for one in far])
    return noise.gather(1, torch.from_numpy(order)[..., None].expand_as(noise))


# ---- training -----------------------------------------------------------------------------------


def _train(
    path: Path,
    model: nn.Module,
    loss: Callable[[torch.Generator], dict[str, Tensor]],
    minutes: float,
    *,
    rate: float,
    decay: float = 0.998,
) -> None:
    """Minimize `loss` for some minutes of this processor's time, the rate falling to zero.

    Every half minute everything is saved, with a running mean of the weights, which is what is
    used afterwards.
    """
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.01)
    mean = {name: value.detach().clone() for name, value in model.state_dict().items()}
    step, spent = 0, 0.0
    if path.is_file():
        state = torch.load(path)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"])
        mean, step, spent = state["mean"], state["step"], state["spent"]
    model.train()
    started = saved = time.process_time() - spent
    told: dict[str, float] = {}
    while (spent := time.process_time() - started) < 60 * minutes:
        left = 1 - spent / (60 * minutes)
        for group in optimizer.param_groups:
            group["lr"] = rate * min((step + 1) / 200, 1) * (0.02 + 0.98 * left)
        parts = loss(generator)
        optimizer.zero_grad()
        parts["loss"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        keep = min(decay, step / (step + 10))
        with torch.no_grad():
            for name, value in model.state_dict().items():
                mean[name].lerp_(value, 1 - keep)
        for name, value in parts.items():
            told[name] = 0.98 * told.get(name, float(value.detach())) + 0.02 * float(value.detach())
        if step % 100 == 0:
            words = " ".join(f"{name} {value:.4f}" for name, value in told.items())
            print(f"{path.stem} step {step} {spent:.0f} s: {words}", flush=True)
        if time.process_time() - saved > 30:
            _save(path, model, optimizer, generator, mean, step, spent)
            saved = time.process_time()
    _save(path, model, optimizer, generator, mean, step, spent)


def _save(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    mean: dict[str, Tensor],
    step: int,
    spent: float,
) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": generator.get_state(),
        "mean": mean,
        "step": step,
        "spent": spent,
    }
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").rename(path)


def _averaged(path: Path) -> dict[str, Tensor]:
    mean: dict[str, Tensor] = torch.load(path)["mean"]
    return mean


def _loaded(work: Path, name: str) -> Tensor:
    return torch.from_numpy(np.load(work / f"{name}.npy"))


# ---- the checkpoint -----------------------------------------------------------------------------


def ship(work: Path, out: Path) -> None:
    """Write the folder of a PartCrafter checkpoint, weights in float16."""
    decoder = _standardized(work)
    _write(out / "transformer", "diffusion_pytorch_model", TRANSFORMER, _averaged(work / "flow.pt"))
    _write(out / "vae", "diffusion_pytorch_model", DECODER, decoder)
    stem = "encoder."
    weights = {
        name.removeprefix(stem): value
        for name, value in _averaged(work / "encoder.pt").items()
        if name.startswith(stem)
    }
    _write(out / "image_encoder_dinov2", "model", _dinov2().config.to_dict(), weights)
    _json(out / "feature_extractor_dinov2" / "preprocessor_config.json", PREPROCESSING)
    scheduler = {"num_train_timesteps": 1000, "shift": 1.0, "use_dynamic_shifting": False}
    _json(out / "scheduler" / "scheduler_config.json", scheduler)
    _json(out / "generation_config.json", GENERATION)


def _standardized(work: Path) -> dict[str, Tensor]:
    """The decoder's weights, so that it takes latents of mean 0 and deviation 1."""
    kept = torch.load(work / "latents.pt")
    stem = "decode."
    weights = {
        name.removeprefix(stem): value
        for name, value in _averaged(work / "autoencoder.pt").items()
        if name.startswith(stem)
    }
    first = weights["post_quant.weight"]
    weights["post_quant.bias"] = weights["post_quant.bias"] + first @ kept["mean"]
    weights["post_quant.weight"] = first * kept["std"]
    return weights


def _write(folder: Path, name: str, config: dict[str, Any], weights: dict[str, Tensor]) -> None:
    _json(folder / "config.json", config)
    half = {key: value.half().contiguous() for key, value in weights.items()}
    save_file(half, folder / f"{name}.safetensors")


def _json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def main() -> None:
    """Run the stages that are named."""
    stages = ("shapes", "photos", "autoencoder", "encoder", "flow", "ship")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="+", choices=stages)
    parser.add_argument("--work", type=Path, default=Path("build/mini-partcrafter"))
    parser.add_argument("--things", type=int, default=4000)
    parser.add_argument("--photos", type=int, default=4000, help="how many of them are seen")
    parser.add_argument("--minutes", type=float, help="of processor time, for each training")
    default = Path(__file__).parents[1] / "src/regard/miniatures/mini-partcrafter"
    parser.add_argument("--out", type=Path, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    given.work.mkdir(parents=True, exist_ok=True)
    trainings = {"autoencoder": autoencoder, "encoder": encoder, "flow": flow}
    for stage in given.stages:
        if stage == "shapes":
            shapes(given.work, given.things)
        elif stage == "photos":
            photos(given.work, given.photos)
        elif stage == "ship":
            ship(given.work, given.out)
        else:
            trainings[stage](given.work, given.minutes or MINUTES[stage])


if __name__ == "__main__":
    main()
