"""What a notebook shows of a run: its steps as a table, as far as they are."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from stepwell.blocks.server.documents import ui_url
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.flows.runs.artifacts import metric_rows
from stepwell.flows.runs.summary import StepSummary, summarize
from stepwell.flows.trials.summary import shown, sweeps_of

_COLOURS = {
    "ran": "#1a7f37",
    "reused": "#0b6e99",
    "failed": "#c62828",
    "skipped": "#8a6100",
    "cancelled": "#8a6100",
    "running": "#5a32a3",
}
_CELL = 'style="text-align:left;vertical-align:top;padding:2px 12px 2px 0"'
_MOST_METRICS = 50


def run_html(run: RunFolder) -> str:
    """Return a run as HTML without scripts: its headline, a row for each step, metrics, warnings and the page in the UI."""
    summary = summarize(run)
    parts = [f'<div role="group" aria-label="Run {escape(summary.label)}">']
    parts.append(f"<p><b>{escape(summary.label)}</b> {escape(summary.headline)}</p>")
    if summary.problem:
        parts.append(f'<p style="color:{_COLOURS["failed"]}">{_lines(summary.problem)}</p>')
    rows = [_row(step) for step in summary.steps]
    parts.append(_table(("step", "what happened", "time", "why"), rows) if rows else "")
    for step, trials in sweeps_of(run, summary).items():
        head, cells = shown(trials)
        parts.append(f"<p>Trials of {escape(step)}</p>")
        parts.append(_table(map(escape, head), [tuple(map(escape, row)) for row in cells]))
    found = [row for step in summary.steps for row in metric_rows(step)]
    rows = [tuple(escape(str(row[name])) for name in ("step", "metric", "value")) for row in found[:_MOST_METRICS]]
    parts.append(_table(("step", "metric", "value"), rows) if rows else "")
    if len(found) > _MOST_METRICS:
        parts.append(f"<p>and {len(found) - _MOST_METRICS} more metrics</p>")
    parts += [f"<p>Warning: {_lines(warning)}</p>" for warning in summary.warnings]
    link = escape(ui_url(f"/runs/flow-run/{summary.run_id}"), quote=True)
    parts.append(f'<p>Run {escape(summary.run_id)}: <a href="{link}" target="_blank" rel="noopener">in the UI</a></p>')
    return "".join([*parts, "</div>"])


def _row(step: StepSummary) -> tuple[str, ...]:
    colour = _COLOURS.get(step.happened, "inherit")
    seconds = "" if step.seconds is None else f"{step.seconds:.1f} s"
    why = "<br>".join(map(_lines, [*step.why, *([step.error] if step.error else [])]))
    return escape(step.id), f'<span style="color:{colour}">{escape(step.happened)}</span>', seconds, why


def _table(head: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    titles = "".join(f"<th scope='col' {_CELL}>{title}</th>" for title in head)
    body = "".join("<tr>" + "".join(f"<td {_CELL}>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def display(html: str, text: str, shown: str = "") -> str:
    """Show HTML in the notebook that this process is the kernel of, and return an id; `shown` is the one to show it in place of.

    Return '' if there is no notebook.
    """
    if not in_notebook():
        return ""
    import IPython.display

    show: Any = IPython.display.display
    data = {"text/html": html, "text/plain": text}
    handle = show(data, raw=True, display_id=shown or True, update=bool(shown))
    return shown or str(handle.display_id)


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    import sys

    shell = sys.modules.get("IPython")
    return shell is not None and getattr(shell.get_ipython(), "kernel", None) is not None
