"""mini-mask2former on a generated scene: attention with each layer's mask, and without it."""

from pathlib import Path

from regard.cli.terminal import plain
from regard.demos.scene import demo_scene, found_words, middle, of_best, own_words
from regard.models import registry
from regard.objects.attention import panoptic


def run(out: Path, *, device: str = "cpu") -> None:
    """Look at a scene that the miniature was not trained on."""
    photo, scene = demo_scene()
    model = registry.load("mini-mask2former", device=device)
    result = panoptic(photo, model=model, layers="last3")
    result = of_best(result, scene)
    written = result.pictures.save(out)
    result.pictures.encoder(*middle(scene)).save(out / "encoder.png")
    print(f"{result.model}: {found_words(result, scene)}; {result.words}")
    masked, unmasked = (
        own_words(result, scene, result.layers, masked=masked) for masked in (True, False)
    )
    print(
        f"in the last three layers queries put {masked} of their weight on their own segment, "
        f"{unmasked} without the masks"
    )
    print(f"{len(written) + 1} pictures in {plain(out.resolve())}")
