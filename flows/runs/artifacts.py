"""What a run leaves in Prefect's UI: a summary of its steps, metrics as tables, images that scripts logged, executed notebooks."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from stepwell.blocks.server import documents
from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.flows.engine.own_flows import ON_END
from stepwell.flows.runs.notebooks import executed_notebooks
from stepwell.flows.runs.summary import OWN, RunSummary, StepSummary, summarize
from stepwell.model.names import joined_name
from stepwell.model.nofollow import read_file
from stepwell.script.events import files_of
from stepwell.script.metrics import metrics_of

if TYPE_CHECKING:
    from stepwell.script.metrics import Scope

_LARGEST_IMAGE = 2_000_000


def publish_artifacts(run: RunFolder) -> None:
    """Put the run's summary, metrics, images and executed notebooks on its page in the UI."""
    summary = summarize(run)
    of_pipeline = _pipeline_of(summary)
    publish_summary(run, summary)
    rows = [*_rows("", summary.events, "parent"), *(row for step in summary.steps for row in metric_rows(step))]
    if rows:
        _create(run, "table", joined_name("metrics", *of_pipeline), "Metrics of the run", json.dumps(rows))
    for image in all_images(run, summary):
        words = f"{image.name}, logged by {image.step}" if image.step else image.name
        key = joined_name("image", *of_pipeline, image.step, image.name)
        _create(run, "image", key, words, _data_url(image.path, image.below))
    for step in summary.steps:
        for name, text in executed_notebooks(step.folder(run)):
            key = joined_name("notebook", *of_pipeline, step.id, name)
            _create(run, "markdown", key, f"{name}, executed by {step.id}", text)


def _create(run: RunFolder, kind: str, key: str, description: str, data: str) -> None:
    documents.create_artifact(kind, key, description, data, run.run_id)


def publish_summary(run: RunFolder, summary: RunSummary | None = None) -> None:
    """Put what ran, and why, on the run's page in the UI; a user's own flow has it once it has ended."""
    told = summary or summarize(run)
    _create(run, "markdown", joined_name("summary", *_pipeline_of(told)), "What ran, and why", markdown(told))


ON_END.append(publish_summary)


def _pipeline_of(summary: RunSummary) -> tuple[str, str]:
    return str(summary.facts.get("workspace", "")), summary.pipeline


def markdown(summary: RunSummary) -> str:
    """Return the summary in Markdown: a line, a table of the steps, and the reasons, which the page wraps as it likes."""
    lines = [f"**{summary.headline}**", "", "| step | what happened | seconds | seconds saved |", "|---|---|--:|--:|"]
    lines += [
        f"| {_escaped(step.id)} | {step.happened} | {_number(step.seconds)} | {_number(step.saved)} |"
        for step in summary.steps
    ]
    lines += ["", *([f"**{_escaped(summary.problem)}**"] if summary.problem else [])]
    lines += ["", *(f"- Warning: {_escaped(warning)}" for warning in summary.warnings)]
    lines += [
        f"- {_escaped(step.id)} ran on installed packages: {_escaped(', '.join(step.differs))}"
        for step in summary.steps
        if step.differs
    ]
    for step in summary.steps:
        if step.undeclared:
            files, more = ", ".join(map(_escaped, step.undeclared)), step.undeclared_count - len(step.undeclared)
            files += f" and {more} more" if more > 0 else ""
            lines.append(f"- {_escaped(step.id)} read, and does not declare: {files}")
    lines += [
        f"- **{_escaped(step.id)}**: {_escaped(step.error.splitlines()[0])}" for step in summary.steps if step.error
    ]
    reasons = [(step, reason) for step in summary.steps for reason in step.why]
    if reasons:
        lines += ["", "**Why**", ""]
    lines += [f"- {_escaped(step.id)} {step.happened}: {_escaped(reason)}" for step, reason in reasons]
    return "\n".join(lines)


def metric_rows(step: StepSummary) -> Iterable[dict[str, Any]]:
    """Yield a row for each metric of a step."""
    return _rows(step.id, step.events, "step")


def _rows(whose: str, events: Sequence[Event], scope: Scope) -> Iterable[dict[str, Any]]:
    for name, value in metrics_of(events, scope).items():
        if not any(event["name"] == name and event["type"] == "image" for event in events):
            yield {
                "step": whose,
                "metric": name,
                "value": value if isinstance(value, (int, float, str)) else str(value),
            }


class Image(NamedTuple):
    """An image that a step logged, or with an empty `step` the run itself; `below` is its trusted folder."""

    step: str
    name: str
    path: Path
    below: Path


def all_images(run: RunFolder, summary: RunSummary) -> Iterable[Image]:
    """Yield each image that was logged, unless it is too large."""
    yield from _images("", run.path, run.path / OWN, summary.events, "parent")
    for step in summary.steps:
        folder = step.folder(run)
        yield from _images(step.id, folder, folder / "control", step.events, "step")


def _images(step: str, below: Path, control: Path, events: Sequence[Event], scope: Scope) -> Iterable[Image]:
    kept = files_of(control, events, scope)
    for event in events:
        path = kept.get(str(event["value"])) if event["type"] == "image" and event["scope"] == scope else None
        if path is not None and path.lstat().st_size <= _LARGEST_IMAGE:
            yield Image(step, str(event["name"]), path, below)


def _data_url(path: Path, below: Path) -> str:
    kind = {".jpg": "jpeg", ".jpeg": "jpeg", ".svg": "svg+xml", ".gif": "gif"}.get(path.suffix.lower(), "png")
    return f"data:image/{kind};base64,{base64.b64encode(read_file(below, path.relative_to(below))).decode()}"


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", text.replace("\n", " "))


def _number(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"
