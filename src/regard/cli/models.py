"""`regard models`: which models there are by name."""


def models() -> None:
    """List the models that have a name, with licence and origin.

    Any other checkpoint of these kinds works as a local folder or hub id.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from regard.models.registry import DEFAULT, known

    table = Table(box=box.SIMPLE)
    table.add_column("name", no_wrap=True)
    table.add_column("family", no_wrap=True)
    table.add_column("licence", overflow="fold")
    table.add_column("origin", overflow="fold")
    table.add_column("here", no_wrap=True)
    for model in known():
        here = "yes" if model.on_this_machine else "no"
        style = "bold" if model.name == DEFAULT else ""
        table.add_row(model.name, model.family, model.licence, model.origin, here, style=style)
    console = Console()
    console.print(table)
    console.print(f"default: {DEFAULT}; also a local folder or any hub id of these kinds of model")
