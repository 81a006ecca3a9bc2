"""What a notebook shows of runs, steps, plans and metrics: tables without scripts, legible on any background."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from stepwell.blocks.server.connection import known_ui_url
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.flows.pages.facts import Table, logged_in, logged_under, shortened
from stepwell.flows.runs.summary import RunSummary, StepSummary, summarize
from stepwell.flows.trials.summary import shown, sweeps_of
from stepwell.model.records import Decision

_COLOURS = {
    "ran": "#1a7f37",
    "reused": "#0b6e99",
    "failed": "#c62828",
    "skipped": "#7a5800",
    "cancelled": "#7a5800",
    "running": "#5a32a3",
    "run": "#1a7f37",
    "reuse": "#0b6e99",
    "depends": "#5a32a3",
    "skip": "#7a5800",
}
_CELL = 'style="text-align:left;vertical-align:top;padding:2px 12px 2px 0"'
_MOST_ROWS, _MOST_METRICS, _MOST_TABLES, _MOST_TABLE_ROWS = 200, 50, 10, 20
_MOST_COLUMNS = 40


def run_html(run: RunFolder, summary: RunSummary | None = None) -> str:
    """Return a run as HTML without scripts: its headline, a row for each step, metrics, warnings and the page in the UI.

    No server is started for that: without one, it is told how to see the page.
    """
    summary = summary or summarize(run)
    parts = [f'<div role="group" aria-label="Run {escape(summary.label)}">']
    parts.append(f"<p><b>{escape(summary.label)}</b> {escape(summary.headline)}</p>")
    if summary.problem:
        parts.append(_notice(summary.problem))
    parts.append(_steps_table(summary.steps))
    for step, trials in sweeps_of(run, summary).items():
        head, cells = shown(trials)
        parts.append(_table(f"Trials of {step}", head, [tuple(map(escape, row)) for row in cells]))
    parts.append(_metrics(summary))
    parts += [f"<p>Warning: {_lines(shortened(warning))}</p>" for warning in summary.warnings[:_MOST_METRICS]]
    link = escape(known_ui_url(f"/runs/flow-run/{summary.run_id}"), quote=True)
    page = f'<a href="{link}" target="_blank" rel="noopener">in the UI</a>' if link else ""
    page = page or f"<code>stepwell open {escape(run.reference)}</code> shows it in the UI"
    parts.append(f"<p>Run {escape(summary.run_id)}: {page}</p>")
    return "".join([*parts, "</div>"])


def step_html(step: StepSummary, run: str) -> str:
    """Return a step of the run of that name as HTML: what happened, why, and its metrics."""
    numbers = RunSummary(run, "", "", {}, (step,), ())
    head = f"<p><b>{escape(step.id)}</b> of {escape(run)}</p>"
    return (
        f'<div role="group" aria-label="Step {escape(step.id)}">{head}{_steps_table((step,))}{_metrics(numbers)}</div>'
    )


def steps_html(steps: Sequence[StepSummary]) -> str:
    """Return steps as a table."""
    return _steps_table(steps) or "<p>No steps.</p>"


def runs_html(runs: Sequence[RunSummary]) -> str:
    """Return runs as a table."""
    rows = [
        (
            f"<b>{escape(run.label)}</b>",
            _chip(run.status, _RUN_COLOURS.get(run.status, "#57606a")),
            escape(run.headline.partition(": ")[2]),
            escape(run.started[:19].replace("T", " ")),
            escape(", ".join(f"{name}={value}" for name, value in run.facts.get("parameters", {}).items())),
        )
        for run in runs
    ]
    return _table("", ("run", "status", "steps", "started (UTC)", "parameters"), rows) if rows else "<p>No runs.</p>"


_RUN_COLOURS = {"Finished": "#1a7f37", "Failed": "#c62828", "Canceled": "#7a5800", "Running": "#5a32a3"}


def plan_html(decisions: Sequence[Decision]) -> str:
    """Return a plan as a table."""
    rows = [
        (f"<b>{escape(one.step)}</b>", _chip(one.action, _COLOURS[one.action]), "<br>".join(map(_lines, one.why)))
        for one in decisions
    ]
    return _table("", ("step", "what would happen", "why"), rows)


def metrics_html(metrics: dict[str, Any]) -> str:
    """Return metrics as tables."""
    return _logged(logged_under([("", metrics, set())]), of=False) or "<p>No metrics.</p>"


def rows_html(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows with the same columns as a table, without columns in which there is nothing."""
    names = [name for name in (rows[0] if rows else ()) if any(row.get(name) not in (None, "", {}) for row in rows)]
    cells = [
        tuple("" if row.get(name) is None else escape(shortened(row[name])) for name in names[:_MOST_COLUMNS])
        for row in rows
    ]
    more = f"<p>and {len(names) - _MOST_COLUMNS} more columns</p>" if len(names) > _MOST_COLUMNS else ""
    return _table("", names[:_MOST_COLUMNS], cells) + more if rows else "<p>No runs.</p>"


def _steps_table(steps: Sequence[StepSummary]) -> str:
    return _table("", ("step", "what happened", "time", "why"), [*map(_row, steps)]) if steps else ""


def _row(step: StepSummary) -> tuple[str, ...]:
    chip = _chip(step.happened, _COLOURS.get(step.happened, "#57606a"))
    seconds = "" if step.seconds is None else f"{step.seconds:.1f} s"
    why = "<br>".join(_lines(shortened(text)) for text in step.why)
    error = (
        f'<pre style="margin:2px 0;white-space:pre-wrap">{escape(shortened(step.error))}</pre>' if step.error else ""
    )
    return escape(step.id), chip, seconds, why + error


def _metrics(summary: RunSummary) -> str:
    return _logged(logged_in(summary), of=True)


def _logged(logged: Any, *, of: bool) -> str:
    start = 0 if of else 1
    rows = [tuple(map(escape, row[start:])) for row in logged.numbers[:_MOST_METRICS]]
    parts = [_table("", ("step", "metric", "value")[start:], rows)] if rows else []
    more = len(logged.numbers) - len(rows) + logged.more + max(0, len(logged.tables) - _MOST_TABLES)
    parts += [_shown_table(table) for table in logged.tables[:_MOST_TABLES]]
    parts += [f"<p>and {more} more metrics</p>"] if more > 0 else []
    return "".join(parts)


def _shown_table(table: Table) -> str:
    rows = [tuple(map(escape, row)) for row in table.rows[:_MOST_TABLE_ROWS]]
    more = table.more + len(table.rows) - len(rows)
    return _table(table.title, table.head, rows) + (f"<p>and {more} more rows</p>" if more else "")


def _chip(word: str, colour: str) -> str:
    """Return a word on a ground of its own, which stands out whether the notebook is light or dark."""
    style = f"background:{colour};color:#ffffff;border-radius:8px;padding:0 7px"
    return f'<span style="{style}">{escape(word)}</span>'


def _notice(text: str) -> str:
    return f'<p style="border-left:4px solid {_COLOURS["failed"]};padding-left:8px">{_lines(shortened(text))}</p>'


def _table(title: str, head: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table of cells that are HTML already, unlike its title and head."""
    caption = f'<caption style="text-align:left;font-weight:600">{escape(title)}</caption>' if title else ""
    titles = "".join(f"<th scope='col' {_CELL}>{escape(name)}</th>" for name in head)
    kept = [*rows]
    cells = "".join("<tr>" + "".join(f"<td {_CELL}>{c}</td>" for c in row) + "</tr>" for row in kept[:_MOST_ROWS])
    more = f"<p>and {len(kept) - _MOST_ROWS} more rows</p>" if len(kept) > _MOST_ROWS else ""
    return (
        f"<table style='line-height:1.4'>{caption}<thead><tr>{titles}</tr></thead><tbody>{cells}</tbody></table>{more}"
    )


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")


# The notebook ---------------------------------------------------------------------------------------------------------


def display(data: Mapping[str, Any], shown: str = "") -> str:
    """Show what the data are, by media types, in the notebook that this process is the kernel of, and return an id.

    `shown` is the id of what it is shown in place of. Return '' if there is no notebook.
    """
    if not in_notebook():
        return ""
    import IPython.display

    show: Any = IPython.display.display
    handle = show(dict(data), raw=True, display_id=shown or True, update=bool(shown))
    return shown or str(handle.display_id)


def as_data(html: str, text: str) -> dict[str, Any]:
    """Return HTML as data to show, and a text for where that can't be shown."""
    return {"text/html": html, "text/plain": text}


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    import sys

    shell = sys.modules.get("IPython")
    return shell is not None and getattr(shell.get_ipython(), "kernel", None) is not None
