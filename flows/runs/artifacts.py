"""What a run leaves in Prefect's UI: a summary of its steps, metrics as tables, images that scripts logged, executed notebooks."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from stepwell.blocks.server import documents
from stepwell.blocks.server.connection import report_link
from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.blocks.store.runs.additions import OWN
from stepwell.flows.runs.summary import RunSummary, StepSummary, added_to, summarize
from stepwell.flows.steps.own_flows import ON_END
from stepwell.model.names import joined_name
from stepwell.model.nofollow import files_below, read_file
from stepwell.script.events import files_of
from stepwell.script.metrics import metrics_of

if TYPE_CHECKING:
    from stepwell.script.metrics import Scope

Tell = Callable[[dict[str, Any]], None]

_LARGEST_IMAGE = 2_000_000
_LARGEST_NOTEBOOK = 4_000_000
_LONGEST_TEXT = 20_000


def publish_artifacts(run: RunFolder, tell: Tell | None = None) -> None:
    """Put the run's summary, metrics, images and executed notebooks on its page in the UI.

    `tell` is called with what the server said of each, and has to tell that it was created, else Prefect's client does.
    """
    summary = summarize(run)
    of_pipeline = _pipeline_of(summary)
    publish_summary(run, summary, tell)
    rows = [*_rows("", summary.events, "parent"), *(row for step in summary.steps for row in metric_rows(step))]
    if rows:
        _create(run, "table", joined_name("metrics", *of_pipeline), "Metrics of the run", json.dumps(rows), tell)
    for image in all_images(run, summary):
        words = f"{image.name}, logged by {image.step}" if image.step else image.name
        key = joined_name("image", *of_pipeline, image.step, image.name)
        _create(run, "image", key, words, data_url(image.path, image.below), tell)
    for step in summary.steps:
        for name, text in executed_notebooks(step.folder(run)):
            key = joined_name("notebook", *of_pipeline, step.id, name)
            _create(run, "markdown", key, f"{name}, executed by {step.id}", text, tell)


def _create(run: RunFolder, kind: str, key: str, description: str, data: str, tell: Tell | None) -> None:
    documents.create_artifact(kind, key, description, data, run.run_id, tell)


def publish_summary(run: RunFolder, summary: RunSummary | None = None, tell: Tell | None = None) -> None:
    """Put what ran, and why, on the run's page in the UI; a user's own flow has it once it has ended."""
    told = summary or summarize(run)
    link = report_link(run.run_id)
    report = f"[All of it on one page]({link}), or in one file" if link else "All of it in one file"
    text = f"{markdown(told)}\n\n{report}: `stepwell report {run.reference}`"
    _create(run, "markdown", joined_name("summary", *_pipeline_of(told)), "What ran, and why", text, tell)


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
    pages = [(step, *fact) for step in summary.steps for fact in step.ran_on.items() if fact[1].startswith("https://")]
    lines += [f"- {_escaped(step.id)}: [{_escaped(name)}](<{page}>)" for step, name, page in pages]
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
        added = added_to(run, step.id)
        if added.is_dir():
            yield from _images(step.id, added.parent, added, step.events, "step")


def _images(step: str, below: Path, control: Path, events: Sequence[Event], scope: Scope) -> Iterable[Image]:
    kept = files_of(control, events, scope)
    for event in events:
        path = kept.get(str(event["value"])) if event["type"] == "image" and event["scope"] == scope else None
        if path is not None and path.lstat().st_size <= _LARGEST_IMAGE:
            yield Image(step, str(event["name"]), path, below)


def data_url(path: Path, below: Path) -> str:
    """Return an image as a URL that holds all of it."""
    kind = {".jpg": "jpeg", ".jpeg": "jpeg", ".svg": "svg+xml", ".gif": "gif"}.get(path.suffix.lower(), "png")
    return f"data:image/{kind};base64,{base64.b64encode(read_file(below, path.relative_to(below))).decode()}"


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", text.replace("\n", " "))


def _number(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"


# Notebooks ----------------------------------------------------------------------------------------------------------


def executed_notebooks(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each executed notebook that a step left in its folder, and what it shows in Markdown."""
    if not os.path.lexists(os.path.join(folder, "outputs")):
        return
    for name in files_below(folder, "outputs"):
        path = f"outputs/{name}"
        if not name.endswith(".ipynb") or (folder / path).lstat().st_size > _LARGEST_NOTEBOOK:
            continue
        with suppress(
            OSError, ValueError, KeyError, TypeError, AttributeError
        ):  # whatever a step wrote under such a name
            notebook = json.loads(read_file(folder, Path(path)))
            if any(cell.get("execution_count") for cell in notebook["cells"]):
                yield name, notebook_markdown(notebook)


def notebook_markdown(notebook: Mapping[str, Any]) -> str:
    """Return a notebook in Markdown: its texts, code, and what its cells printed and showed."""
    blocks = []
    for cell in notebook["cells"]:
        source = _joined(cell["source"])
        blocks.append(_fenced(source, "python") if cell["cell_type"] == "code" else source)
        blocks += [shown for output in cell.get("outputs", ()) if (shown := _shown(output))]
    return "\n\n".join(block for block in blocks if block.strip())


def _shown(output: Mapping[str, Any]) -> str:
    if output["output_type"] == "stream":
        return _fenced(_joined(output["text"]), "text")
    if output["output_type"] == "error":
        return _fenced(f"{output['ename']}: {output['evalue']}", "text")
    data = output.get("data", {})
    if "image/png" in data:
        return f"![](data:image/png;base64,{''.join(_joined(data['image/png']).split())})"
    return _fenced(_joined(data["text/plain"]), "text") if "text/plain" in data else ""


def _fenced(text: str, language: str) -> str:
    text = text.rstrip("\n")
    cut = (
        text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}\n… {len(text) - _LONGEST_TEXT} more characters"
    )
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", cut)), default=0))
    return f"{fence}{language}\n{cut}\n{fence}" if cut else ""


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
