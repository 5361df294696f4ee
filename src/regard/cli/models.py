"""`regard models`: which models there are by name."""

from regard.cli.terminal import table_console


def models() -> None:
    """List the models that have a name, with licence and origin.

    Any other checkpoint of these kinds works as a local folder or hub id.
    """
    from rich import box
    from rich.table import Table

    from regard.models.registry import DEFAULT, KnownModel, known

    console = table_console()
    families: dict[str, list[KnownModel]] = {}
    for model in known():
        families.setdefault(model.family, []).append(model)
    for family, members in families.items():
        table = Table("name", "licence", "origin", "here", box=box.SIMPLE, show_edge=False)
        table.title, table.title_justify, table.pad_edge = f"family {family}", "left", False
        table.columns[0].no_wrap = table.columns[3].no_wrap = True
        table.columns[1].no_wrap, table.columns[2].overflow = True, "fold"
        for model in members:
            here = "yes" if model.on_this_machine else "no"
            style = "bold" if model.name == DEFAULT else ""
            table.add_row(model.name, model.licence, model.origin, here, style=style)
        console.print(table)
    console.print(f"default: {DEFAULT}; also a local folder or any hub id of these kinds of model")
