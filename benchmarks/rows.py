"""Rows of the table: what was measured, what it may be, and what that means."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """A figure and its budget in `unit` (`ms`, `s`, `MB` or `x`); `detail` says what it is made of."""

    name: str
    value: float
    budget: float
    unit: str
    detail: str = ""

    @property
    def verdict(self) -> str:
        """`ok` or `MISSED`."""
        return "ok" if self.value <= self.budget else "MISSED"

    @property
    def measured(self) -> str:
        """Return the figure with its unit."""
        return self._with_unit(self.value)

    @property
    def allowed(self) -> str:
        """Return the budget with its unit."""
        return f"<= {self._with_unit(self.budget)}"

    def _with_unit(self, number: float) -> str:
        digits = f"{number:.0f}" if number >= 100 else f"{number:.3g}"
        return f"{digits}x" if self.unit == "x" else f"{digits} {self.unit}"


HEAD = ("name", "measured", "budget", "verdict", "made of")


def table(rows: Iterable[Row]) -> str:
    """Return the rows as text, in columns."""
    cells = [HEAD, *((row.name, row.measured, row.allowed, row.verdict, row.detail) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def save(rows: Iterable[Row], path: Path) -> None:
    """Write the rows as JSON, with the machine and the moment."""
    kept = [{**asdict(row), "verdict": row.verdict} for row in rows]
    facts = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "python": platform.python_version(), **machine()}
    path.write_text(json.dumps({**facts, "rows": kept}, indent=1) + "\n")


def machine() -> dict[str, object]:
    """Return how many processors there are, and how busy they have been for a minute."""
    return {"processors": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}
