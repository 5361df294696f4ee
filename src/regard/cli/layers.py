"""`regard layers`: what attention a model has."""

from pathlib import Path
from typing import TYPE_CHECKING

from regard.cli.terminal import complain, plain, table_console

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

    loaded = load(model, device=device, notify=complain)
    result = image(blank() if photo is None else photo, model=loaded)
    _print(loaded, result.recording)


def _print(loaded: "LoadedModel", recording: "Recording") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    title = Text(plain(loaded.name), "bold")
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE, show_edge=False, pad_edge=False
    )
    for name in ("", "heads", "queries", "keys"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("kind", "prefix", "layer"):
        table.add_column(name, overflow="fold", no_wrap=name == "kind")
    for index, path in enumerate(recording.layers):
        call = recording.find(path)[0]
        prefix = ", ".join(call.keys.prefix) or "none"
        _, heads, queries, keys = map(str, call.shape)
        row = (str(index), heads, queries, keys, call.kind, prefix, path)
        style = "bold" if path == loaded.default_layer else ""
        table.add_row(*(Text(plain(cell)) for cell in row), style=style)
    console = table_console()
    console.print(table)
    console.print(f"default: layer {recording.layers.index(loaded.default_layer)}")
    for item in recording.unrecorded:
        console.print(f"not recorded: {plain(item.layer)}: {plain(item.reason)}")
