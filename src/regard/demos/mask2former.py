"""mini-mask2former on a generated scene: attention with each layer's mask, and without it."""

from pathlib import Path

from regard.cli.terminal import plain
from regard.demos.scene import demo_scene, found_words, own_words
from regard.models import registry
from regard.objects.attention import panoptic


def run(out: Path, *, device: str = "cpu") -> None:
    """Look at a scene that the miniature was not trained on."""
    photo, scene = demo_scene()
    model = registry.load("mini-mask2former", device=device)
    result = panoptic(photo, model=model, layers="last3")
    written = result.pictures.save(out)
    x0, y0, x1, y1 = scene.objects[-1].box_xyxy
    result.pictures.encoder((x0 + x1) / 2, (y0 + y1) / 2).save(out / "encoder.png")
    print(f"{result.model}: {found_words(result, scene)}; {result.words}")
    masked, unmasked = (
        own_words(result, scene, result.layers, masked=masked) for masked in (True, False)
    )
    print(
        f"in the last three layers queries of objects put {masked} of their weight on their own "
        f"object, {unmasked} without the masks"
    )
    print(f"{len(written) + 1} pictures in {plain(out.resolve())}")
