"""mini-detr on a generated scene: every step from the photo to its segments."""

from pathlib import Path

from regard.cli.terminal import plain
from regard.demos.detr_steps import steps
from regard.demos.scene import demo_scene, found_words, middle, own_words
from regard.models import registry


def run(out: Path, *, device: str = "cpu") -> None:
    """Look at a scene that the miniature was not trained on."""
    photo, scene = demo_scene()
    model = registry.load("mini-detr", device=device)
    result, pictures = steps(photo, model, middle(scene))
    written = result.pictures.save(out)
    (out / "steps").mkdir(exist_ok=True)
    pictures = {f"steps/{name}": picture for name, picture in pictures.items()}
    pictures["overview"] = result.pictures.overview()
    for name, picture in pictures.items():
        picture.save(out / f"{name}.png")
    print(f"{result.model}: {found_words(result, scene)}; {result.words}")
    last = own_words(result, scene, [len(result.run.cross_layers) - 1])
    print(f"queries put {last} of their weight on their own segment in the last layer")
    print(f"{len(written) + len(pictures)} pictures in {plain(out.resolve())}")
