"""`regard layers`: what attention a model has."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regard.models.family import LoadedModel
    from regard.recording import Recording


def layers(*, model: str = "dinov2-small", photo: Path | None = None, device: str = "cpu") -> None:
    """List the layers of a model that have attention.

    Parameters
    ----------
    model
        A name from `regard models`, a local folder, or a hub id.
    photo
        An image to run the model on; by default a plain grey one, as tall as wide.
    device
        Where the model runs.
    """
    from regard.models.registry import load
    from regard.photo import blank, image

    loaded = load(model, device=device)
    result = image(blank() if photo is None else photo, model=loaded)
    _print(loaded, result.recording)


def _print(loaded: "LoadedModel", recording: "Recording") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    table.title, table.title_justify, table.title_style = loaded.name, "left", "bold"
    for name in ("", "heads", "queries", "keys"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("kind", "prefix", "layer"):
        table.add_column(name, overflow="fold", no_wrap=name != "prefix")
    for index, path in enumerate(recording.layers):
        call = recording.find(path)[0]
        default = path == loaded.default_layer
        prefix = ", ".join(call.keys.prefix) or "none"
        _, heads, queries, keys = map(str, call.shape)
        row = (str(index), heads, queries, keys, call.kind, prefix, path)
        table.add_row(*row, style="bold" if default else "")
    console = Console()
    console.print(table)
    console.print(f"default: layer {recording.layers.index(loaded.default_layer)} (bold)")
    for item in recording.unrecorded:
        console.print(f"not recorded: {item.layer}: {item.reason}", markup=False)
