"""Runs every benchmark and writes the numbers into the pages that quote them.

A page quotes a number as `<!-- NAME/ROW/FIELD -->value<!-- / -->`, and a whole table as
`<!-- table NAME -->...<!-- / -->`; what stands between the marks is written here.
"""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import RESULTS

NAMES = (
    "recording_time",
    "video_recording",
    "python_cost",
    "recording_memory",
    "parts_memory",
    "bias_memory",
    "one_row",
    "rollout",
    "render_speed",
    "coverage",
)
ROOT = Path(__file__).parents[1]
PAGES = tuple(ROOT / name for name in ("README.md", "docs/performance.md", "docs/coverage.md"))
MARK = re.compile(r"<!-- ([a-z_]+)/(\d+)/([a-z_]+) -->.*?<!-- / -->")
TABLE = re.compile(r"<!-- table ([a-z_]+) -->.*?<!-- / -->", re.DOTALL)


def filled(text: str) -> str:
    """A page's text with every quoted number as the results have it."""

    def number(found: re.Match[str]) -> str:
        name, row, field = found.groups()
        return f"{found[0].split('-->')[0]}-->{result(name)['rows'][int(row)][field]}<!-- / -->"

    def table(found: re.Match[str]) -> str:
        return f"<!-- table {found[1]} -->\n{table_of(result(found[1]))}\n<!-- / -->"

    return TABLE.sub(table, MARK.sub(number, text))


def result(name: str) -> dict[str, Any]:
    """The result that a benchmark wrote."""
    loaded: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return loaded


def table_of(found: dict[str, Any]) -> str:
    """A result as Markdown: a table for each kind of row, and the machine below."""
    parts, header = [], None
    for row in found["rows"]:
        if list(row) != header:
            header = list(row)
            parts += ["", f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
        parts.append(f"| {' | '.join(str(value) for value in row.values())} |")
    machine = found["machine"]
    parts += [
        "",
        f"{machine['date']}, {machine['processor']}, {machine['cores']} cores, "
        f"{machine['threads']} thread(s), Python {machine['python']}, torch {machine['torch']}, "
        f"transformers {machine['transformers']}.",
    ]
    return "\n".join(parts).strip()


def main() -> None:
    """Measure everything, then write the pages."""
    for name in (*NAMES, "cuda") if torch.cuda.is_available() else NAMES:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    write_pages()


def write_pages() -> None:
    """Write the results that there are into the pages that quote them."""
    for page in PAGES:
        page.write_text(filled(page.read_text()))


if __name__ == "__main__":
    main()
