"""`display` as notebooks of Databricks have it: DataFrames as tables, anything else as Jupyter shows it."""

from __future__ import annotations

import html
from typing import Any

ROWS = 1000
"""How many rows are shown at most, as in Databricks."""


class Table:
    """The first rows of a DataFrame of Spark, for people: as text, and as HTML for notebooks."""

    def __init__(self, frame: Any) -> None:
        self.columns = [str(name) for name in frame.columns]
        rows = [[_text(value) for value in row] for row in frame.limit(ROWS + 1).collect()]
        self.rows, self.is_cut = rows[:ROWS], len(rows) > ROWS

    def __repr__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        lines = [self.columns, ["-" * width for width in widths], *self.rows]
        shown = [
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        return "\n".join([*shown, *([f"only the first {ROWS} rows"] if self.is_cut else [])])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>" for row in self.rows)
        cut = f"<p>only the first {ROWS} rows</p>" if self.is_cut else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{cut}"


def shown(thing: Any) -> Any:
    """Return what is shown in a thing's place."""
    return Table(thing) if hasattr(thing, "limit") and hasattr(thing, "sparkSession") else thing


def display(*things: Any, **_: Any) -> None:
    """Show things in the notebook, or print them in a script."""
    for thing in map(shown, things):
        _show(thing)


def displayHTML(text: str) -> None:  # noqa: N802  (Databricks' name)
    """Show HTML in the notebook, or print it in a script."""
    if _is_notebook():
        from IPython.display import HTML  # type: ignore[import-not-found, unused-ignore]

        _show(HTML(text))
    else:
        print(text)


def _show(thing: Any) -> None:
    if _is_notebook():
        from IPython.display import display as show

        show(thing)
    else:
        print(thing)


def _is_notebook() -> bool:
    try:
        from IPython import get_ipython  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return False
    return get_ipython() is not None


def _text(value: Any) -> str:
    return "null" if value is None else str(value)
