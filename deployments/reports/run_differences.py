"""What differs between two runs, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stepwell.conditions import is_series
from stepwell.errors import printable
from stepwell.flows.runs.comparing.run_difference import ABSENT, Pair, RunDifference, StepDifference
from stepwell.flows.runs.comparing.run_facts import is_number
from stepwell.flows.runs.comparing.source_difference import FileDifference

_LONGEST = 70


def difference_lines(found: RunDifference, *, color: bool = False) -> list[str]:
    """Return what differs in lines; `color`: the lines of unified diffs in the colors that git gives them."""
    lines = [f"{found.names[0]} → {found.names[1]}"]
    if found.same:
        return [
            printable(lines[0]),
            "Nothing differs: parameters, source, packages, inputs, metrics and outputs are the same",
        ]
    lines += _block("Parameters", _pairs(found.parameters)) + _block("Metrics", _pairs(found.metrics))
    for source in found.sources:
        lines.append(f"Source of {', '.join(source.steps)}")
        lines += [f"  {source.unknown}"] if source.unknown else []
        for file in source.files:
            lines += _file(file)
    for step in found.steps:
        lines += [step.step, *(f"  {line}" for line in _step(step))]
    shown = [printable(line.replace("\t", "    ")) for line in lines]
    return [_colored(line) for line in shown] if color else shown


def _file(file: FileDifference) -> list[str]:
    return list(file.lines) or [f"  {file.path} {file.what}" if file.what in _VERBS else f"  {file.path}: {file.what}"]


_VERBS = ("added", "removed", "changed")


def _step(step: StepDifference) -> list[str]:
    if step.runs:
        return [f"only the {step.runs} run has it"]
    lines = [f"{step.happened[0]} → {step.happened[1]}"] if step.happened else []
    for title, sentences in (
        ("packages", step.packages),
        ("inputs", step.inputs),
        ("settings", step.settings),
        ("metrics", _pairs(step.metrics)),
        ("outputs", step.outputs),
        ("unknown", step.unknown),
    ):
        lines += _block(title, sentences)
    return lines


def _block(title: str, sentences: Iterable[str]) -> list[str]:
    found = [f"  {line}" for text in sentences for line in text.replace("\n", "\n  ").split("\n")]
    return [title, *found] if found else []


def _pairs(pairs: Mapping[str, Pair]) -> list[str]:
    return [f"{name}: {_pair(*pair)}" for name, pair in pairs.items()]


def _pair(before: Any, after: Any) -> str:
    if is_number(before) and is_number(after):
        return f"{value_text(before)} → {value_text(after)} ({after - before:+.4g})"
    if isinstance(before, dict) and isinstance(after, dict):
        return "the table changed"
    if before is ABSENT or after is ABSENT:
        return f"new, {value_text(after)}" if before is ABSENT else f"gone, {value_text(before)}"
    return f"{value_text(before)} → {value_text(after)}"


def value_text(value: Any) -> str:
    """Return a value as people read it: a number with as many digits as matter, a text in part if it is long."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    if is_series(value) and len(value) > 1:
        return f"{value_text(value[-1])} (the last of {len(value)} values)"
    if isinstance(value, dict):
        return "a table"
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _colored(line: str) -> str:
    for sign, code in (("+++", "1"), ("---", "1"), ("@@", "36"), ("+", "32"), ("-", "31")):
        if line.startswith(sign):
            return f"\x1b[{code}m{line}\x1b[0m"
    return line


def difference_json(found: RunDifference) -> dict[str, Any]:
    """Return what differs as plain values."""
    return {
        "runs": list(found.names),
        "same": found.same,
        "parameters": _pairs_json(found.parameters),
        "metrics": _pairs_json(found.metrics),
        "source": [
            {
                "steps": list(source.steps),
                "files": [
                    {"path": file.path, "what": file.what, "diff": "\n".join(file.lines) or None}
                    for file in source.files
                ],
                "unknown": source.unknown or None,
            }
            for source in found.sources
        ],
        "steps": [
            {
                "name": step.step,
                "only_in": step.runs or None,
                "happened": list(step.happened) if step.happened else None,
                "packages": list(step.packages),
                "inputs": list(step.inputs),
                "settings": list(step.settings),
                "metrics": _pairs_json(step.metrics),
                "outputs": list(step.outputs),
                "unknown": list(step.unknown),
            }
            for step in found.steps
        ],
    }


def _pairs_json(pairs: Mapping[str, Pair]) -> dict[str, Any]:
    return {name: [None if value is ABSENT else value for value in pair] for name, pair in pairs.items()}
