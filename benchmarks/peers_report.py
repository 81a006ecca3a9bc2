"""The figures of peers as a table in Markdown and as bars, and the page of the documentation that shows both."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from rows import Row

COLUMNS = {
    "cold": "100 new steps, 1 worker (s)",
    "each": "over a bare loop, each (ms)",
    "cold2": "2 workers (s)",
    "nothing": "nothing changed (s)",
    "cpu": "its processor time (s)",
    "one": "one input changed (s)",
    "big": "500 MB in 2,001 files: new (s)",
    "big again": "unchanged (s)",
    "wide": "20 x 0.5 s, 10 workers (s)",
    "memory": "most memory (MB)",
}
BUDGETS = {
    "cold": (2.8, "s"),
    "each": (15.0, "ms"),
    "nothing": (0.5, "s"),
    "one": (0.7, "s"),
    "big again": (0.5, "s"),
    "wide": (1.3, "s"),
}
"""What Stepwell with its resident runner may take of these."""

_DRAWN = ("cold", "nothing", "one", "big again", "wide")
_COLOURS = ("#9aa5b1", "#7b8794", "#616e7c", "#90cdf4", "#2b6cb0")
_WHOLE = ("each", "memory")

_RECORDS = """\
What each tool keeps of a run differs, and so does what its time pays for:

| | what is compared | what is kept of a run | what else runs |
|---|---|---|---|
| doit | content (MD5) of declared files | the state of each task | nothing |
| Snakemake | times, and the rule's code, inputs and parameters | metadata of each output, a log of the run | nothing |
| DVC | content (MD5) of declared files, the command | hashes of all stages in `dvc.lock`, outputs by content in a cache; a step after the other | nothing |
| Stepwell | content (SHA-256) of inputs, script, modules, packages, arguments; bytes of kept outputs; reads that nobody declared | each run with its log, metrics, snapshot of the code, commit; signed records, outputs by content; \
flow run, task runs and lines in Prefect's database, with its UI | Prefect's server, and a resident runner once a command ran |
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one tool; `bare` is the same work in a shell's loop."""

    name: str
    version: str
    bare: float
    found: dict[str, float]

    def shown(self, column: str) -> str:
        """Return a figure as text."""
        figure = self.found.get(column)
        return "-" if figure is None else f"{figure:.0f}" if column in _WHOLE else f"{figure:.2f}"


def budget_rows(stepwell: Figures) -> list[Row]:
    """Return what Stepwell took beside what it may take."""
    bare = f"a bare loop over the steps {stepwell.bare:.2f} s"
    return [
        Row(_name(column), stepwell.found[column], budget, unit, bare if column in ("cold", "each") else "")
        for column, (budget, unit) in BUDGETS.items()
    ]


def ratio_rows(figures: Sequence[Figures]) -> list[Row]:
    """Return what Stepwell took over what a peer took in the same run, for the peers that are here."""
    known = {one.name: one.found for one in figures}
    budgets = (("nothing", "DVC", 3.0), ("nothing", "Snakemake", 2.0), ("cold", "Snakemake", 1.6))
    return [
        Row(f"{_name(column)}, Stepwell / {peer}", ours[column] / known[peer][column], 1 / times, "x")
        for column, peer, times in budgets
        if (ours := known.get("Stepwell")) and peer in known
    ]


def _name(column: str) -> str:
    """Return a column's words without the unit."""
    words = COLUMNS[column].rpartition(" (")[0]
    return f"500 MB in 2,001 files, {words}" if column == "big again" else words


def table(figures: Sequence[Figures]) -> str:
    """Return a row for each tool."""
    lines = ["| | " + " | ".join(COLUMNS.values()) + " |", "|---|" + "--:|" * len(COLUMNS)]
    lines += [
        f"| {one.name} ({one.version}) | " + " | ".join(one.shown(name) for name in COLUMNS) + " |" for one in figures
    ]
    return "\n".join(lines)


def write(figures: Sequence[Figures], docs: Path) -> None:
    """Write the picture and the page."""
    (docs / "peers.svg").write_text(picture(figures))
    bare = ", ".join(f"{one.bare:.2f}" for one in figures)
    page = docs / "concepts" / "peers.md"
    page.write_text(
        f"""# Beside other tools

`make bench-peers` measures Stepwell and three tools that `pip install` brings, in one run on the same work: steps `python step.py INPUT
OUTPUT`, each with an input of its own. Every tool is told of script, input and output, stands in a virtual environment of its own, and
has run once before. On a shared machine believe ratios. These were taken on {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, \
{os.cpu_count()} processors; a bare shell loop over the 100 steps took {bare} s, beside each tool.

{table(figures)}

![Seconds of each tool, shorter is better](../peers.svg)

{_RECORDS}
`STEPWELL_RESIDENT=0` is what the first command of a day pays, or one where the resident runner is switched off: the import of Prefect. Its
processor time and memory are those of the command; what the runner's children take is not in them. Prefect's server works on besides, {_SERVER}
"""
    )


_SERVER = "for some seconds after a run of new steps, three to five milliseconds for each reused one."


def picture(figures: Sequence[Figures]) -> str:
    """Return bars: a group for each figure, as wide as the longest of its group allows."""
    left, width, bar, gap = 190, 520, 14, 34
    parts, y = [], 30
    for column in _DRAWN:
        parts.append(f'<text x="0" y="{y}" class="h">{escape(COLUMNS[column])}</text>')
        y += 8
        longest = max((one.found.get(column, 0.0) for one in figures), default=0.0) or 1.0
        for one, colour in zip(figures, _COLOURS, strict=False):
            length = one.found.get(column, 0.0) / longest * width
            parts.append(f'<text x="0" y="{y + bar - 3}">{escape(one.name)}</text>')
            parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 2}" fill="{colour}"/>')
            parts.append(f'<text x="{left + length + 6:.1f}" y="{y + bar - 3}">{one.shown(column)}</text>')
            y += bar
        y += gap
    style = "text{font:11px sans-serif;fill:#52606d}.h{font-weight:bold;font-size:13px}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 60} {y}" role="img">'
    return f"{head}<style>{style}</style>\n" + "\n".join(parts) + "\n</svg>\n"
