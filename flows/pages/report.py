"""The report of a run: one HTML file that holds all it shows, runs nothing and asks nobody for anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from stat import S_ISREG
from typing import Any

import jinja2

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.system.files import write_atomically
from stepwell.errors import UserErrorException
from stepwell.flows.pages import facts
from stepwell.flows.pages.curves import curve
from stepwell.flows.pages.graph import graph
from stepwell.flows.pages.times import bars_of, duration, gantt
from stepwell.flows.runs.artifacts import all_images, data_url
from stepwell.flows.runs.summary import FINAL, RunSummary, StepSummary, summarize
from stepwell.flows.trials.summary import shown, sweeps_of
from stepwell.model.names import folder_name
from stepwell.model.redaction import here

MARK = '<meta name="generator" content="Stepwell">'
"""What stands near the beginning of every report."""

COLOURS = {"cancelled": "skipped", **{word: word for word in ("ran", "reused", "failed", "skipped", "running")}}
"""The class of what happened, which has a colour."""

_SYMBOLS = {"ran": "✓", "reused": "↺", "failed": "✗", "skipped": "»", "cancelled": "■", "running": "▶"}
_STATUS = {"Finished": "ran", "Failed": "failed", "Canceled": "cancelled", "Running": "running"}
_MOST_STEPS, _MOST_WARNINGS, _MOST_FAILURES, _MOST_PICTURES, _PICTURES_BYTES = 2_000, 50, 20, 40, 20_000_000
_HIDDEN = ("address", "container", "GPU's id", "guard")


def report_html(run: RunFolder, record: facts.Record, now: datetime | None = None) -> str:
    """Return the report of a run as it stands; `record` tells what the results of its steps depend on."""
    at = now or datetime.now(UTC)
    summary, redact = summarize(run), here().redact
    happened = {step.id: step.happened for step in summary.steps}
    records = facts.records_of(summary, record)
    bars = bars_of(run.journal(), happened, at)
    drawn, graph_more = graph(summary.steps, COLOURS) if summary.steps else ("", 0)
    times, gantt_more = gantt(bars, COLOURS) if bars else ("", 0)
    logged = facts.logged_in(summary)
    failed = [step for step in summary.steps if step.error]
    pictures, more_pictures = _pictures(run, summary)
    context: dict[str, Any] = {
        "summary": summary,
        "status": _WORDS.get(summary.status, summary.status),
        "headline": summary.headline.partition(": ")[2],
        "told": _told(summary, at),
        "colours": {**COLOURS, **{_WORDS[name]: COLOURS[word] for name, word in _STATUS.items()}},
        "symbols": {**_SYMBOLS, **{_WORDS[name]: _SYMBOLS[word] for name, word in _STATUS.items()}},
        "warnings": [facts.shortened(text) for text in summary.warnings[:_MOST_WARNINGS]],
        "more_warnings": max(0, len(summary.warnings) - _MOST_WARNINGS),
        "graph": drawn,
        "graph_more": graph_more,
        "steps": (steps := [_step(step) for step in summary.steps[:_MOST_STEPS]]),
        "any_saved": any(step["saved"] for step in steps),
        "any_where": any(step["where"] for step in steps),
        "more_steps": max(0, len(summary.steps) - _MOST_STEPS),
        "failures": [{"step": one.id, "error": facts.shortened(one.error)} for one in failed[:_MOST_FAILURES]],
        "more_failures": max(0, len(failed) - _MOST_FAILURES),
        "logs": list(facts.failed_logs(run, summary.steps, redact)),
        "gantt": times,
        "gantt_more": gantt_more,
        "logged": logged,
        "numbers": facts.bounded("Metrics", ("of", "metric", "value"), logged.numbers) if logged.numbers else None,
        "curves": [(one.title, curve(one.title, one.values), _range(one.values)) for one in logged.series],
        "trials": list(_trials(run, summary)),
        "pictures": pictures,
        "more_pictures": more_pictures,
        "parameters": facts.bounded("Parameters", ("parameter", "value"), [*_given(summary, "parameters")]),
        "inputs": facts.inputs(records),
        "outputs": facts.outputs(records),
        "provenance": [(name, facts.shortened(value)) for name, value in _provenance(summary) if value],
        "snapshots": facts.bounded("Snapshots", ("source directory", "content"), [*_given(summary, "snapshots")]),
        "definitions": facts.definitions(summary),
        "sources": facts.sources(records),
        "asked": facts.asked_environments(summary),
        "environments": facts.environments(records),
        "differing": [(step.id, ", ".join(step.differs)) for step in summary.steps if step.differs][:_MOST_WARNINGS],
    }
    context["sections"] = [section for section in _SECTIONS if _is_there(section[0], context)]
    # Half a pair of surrogates, and what no text of a page may hold, is no reason to have no report.
    return _template().render(context).encode("utf-8", "replace").decode().translate(_CONTROL)


_CONTROL = {code: "�" for code in range(32) if chr(code) not in "\t\n\r"}
_WORDS = {"Finished": "finished", "Failed": "failed", "Canceled": "canceled", "Running": "running"}
_SECTIONS = (
    ("steps", "Steps"),
    ("failures", "Failures"),
    ("times", "Times"),
    ("metrics", "Metrics"),
    ("pictures", "Pictures"),
    ("parameters", "Parameters"),
    ("data", "Data"),
    ("provenance", "Provenance"),
    ("environment", "Environment"),
)


def _is_there(section: str, context: Mapping[str, Any]) -> bool:
    logged = context["logged"]
    found = {
        "failures": context["failures"] or context["logs"],
        "times": context["gantt"],
        "metrics": logged.numbers or logged.series or logged.tables or context["trials"],
        "pictures": context["pictures"],
        "parameters": context["parameters"].rows,
        "data": context["inputs"].rows or context["outputs"].rows,
        "environment": context["environments"] or context["differing"] or context["asked"].rows,
    }
    return bool(found.get(section, True))


@cache
def _template() -> jinja2.Template:
    text = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(text)


# Parts ----------------------------------------------------------------------------------------------------------------


def _step(step: StepSummary) -> dict[str, str]:
    made = f"made by {step.made_by}" if step.made_by else ""
    where = [f"{name} {value}" for name, value in step.ran_on.items() if name not in _HIDDEN]
    return {
        "name": step.id,
        "happened": step.happened,
        "time": "" if step.seconds is None or step.happened == "reused" else duration(step.seconds),
        "saved": "" if step.saved is None else duration(step.saved),
        "why": facts.shortened("\n".join(filter(None, (*step.why, made)))),
        "where": facts.shortened(", ".join(where)),
    }


def _told(summary: RunSummary, at: datetime) -> str:
    """Return when the run was, and as of when that is told."""
    words = [f"Started {_time(summary.started)}"] if summary.started else ["Not started yet"]
    if summary.ended:
        words.append(f"ended {_time(summary.ended)}")
        with suppress(ValueError):
            span = datetime.fromisoformat(summary.ended) - datetime.fromisoformat(summary.started)
            words.append(f"took {duration(max(0.0, span.total_seconds()))}")
    if summary.status not in FINAL:
        words.append("this is how it stood when the report was made")
    return f"{', '.join(words)}. Report of {at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC."


def _time(text: str) -> str:
    return f"{text[:19].replace('T', ' ')} UTC"


def _range(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return f"{len(values)} values, none of them a number"
    return f"{len(values)} values from {min(known):.4g} to {max(known):.4g}, the last {known[-1]:.4g}"


def _given(summary: RunSummary, name: str) -> Iterator[tuple[str, str]]:
    return ((str(key), str(value)) for key, value in summary.facts.get(name, {}).items())


def _trials(run: RunFolder, summary: RunSummary) -> Iterator[facts.Table]:
    for step, trials in sweeps_of(run, summary).items():
        head, rows = shown(trials)
        yield facts.bounded(f"Trials of {step}", head, list(rows))


def _pictures(run: RunFolder, summary: RunSummary) -> tuple[list[tuple[str, str]], int]:
    """Return the pictures that were logged, as data, as far as there is room, and how many more there are."""
    kept: list[tuple[str, str]] = []
    left, more = _PICTURES_BYTES, 0
    for image in all_images(run, summary):
        try:
            size = image.path.lstat().st_size
            if len(kept) == _MOST_PICTURES or size > left:
                more += 1
                continue
            title = f"{image.step}: {image.name}" if image.step else image.name
            kept.append((facts.shortened(title), data_url(image.path, image.below)))
            left -= size
        except OSError:
            more += 1
    return kept, more


def _provenance(summary: RunSummary) -> Iterable[tuple[str, str]]:
    known = summary.facts
    properties = {str(name): str(text) for name, text in known.get("properties", {}).items()}
    dirty = {"True": " with changes that are not committed", "False": ""}.get(
        properties.pop("azureml.git.dirty", ""), ""
    )
    commit = properties.pop("azureml.git.commit", "")
    yield "Run", summary.run_id
    yield "Pipeline", summary.pipeline
    yield "Experiment", str(known.get("experiment", ""))
    yield "Workspace", str(known.get("workspace", ""))
    yield "Machine", summary.machine
    yield "Git commit", f"{commit}{dirty}" if commit else ""
    yield "Git branch", properties.pop("azureml.git.branch", "")
    yield "Git repository", properties.pop("azureml.git.repository_uri", "")
    yield "Tags", ", ".join(f"{name}: {text}" if text else str(name) for name, text in known.get("tags", {}).items())
    for name, text in properties.items():
        if not name.startswith("mlflow.source.git."):  # the same once more
            yield name, text


# The file -------------------------------------------------------------------------------------------------------------


def write_report(run: RunFolder, record: facts.Record, path: Path) -> Path:
    """Write the report of a run to a file; raise UserErrorException if something else stands there, or it can't be written."""
    if is_other(path):
        raise UserErrorException(
            "There is a file already, which is no report", {"file": path}, "Choose another file, or remove this one."
        )
    text = report_html(run, record)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as error:
        found = {"file": path, "because": error.strerror or str(error)}
        raise UserErrorException("The report can't be written", found, "Choose another file.") from error
    return path


def is_other(path: Path) -> bool:
    """Return whether there is something in the report's place that is no report."""
    try:
        if not S_ISREG(path.stat().st_mode):  # a device would be replaced, and a pipe waited for
            return True
        with open(path, "rb") as file:
            beginning = file.read(1000)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return bool(beginning) and MARK.encode() not in beginning


def usual_file(run: RunFolder) -> str:
    """Return the name of a report's file, such as `digits-12.html`."""
    return f"{folder_name(run.label.replace('#', '-').replace(' ', '_'))}.html"
