"""What a step that has ended tells others: its metrics, the files of its outputs, values in JSON files of these."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from stepwell.conditions import Finding
from stepwell.errors import UserErrorException
from stepwell.model.datasets.file_names import matches
from stepwell.model.nofollow import open_file
from stepwell.model.records import Artifact
from stepwell.model.regular_files import read_bytes
from stepwell.model.tree import Tree, scan
from stepwell.model.trees.entries import Entry
from stepwell.script.metrics import metrics_of


class Trees(Protocol):
    """What has outputs by their digests: a store."""

    def manifest(self, digest: str, /) -> Tree | None:
        """Return what an output consists of, None if that is not noted."""

    def bring(self, digest: str, /) -> Path:
        """Return where an output stands."""
        ...


class Told(Protocol):
    """What tells of a step that has ended: a record."""

    @property
    def metrics(self) -> Sequence[Mapping[str, Any]]:
        """The events of what it logged."""
        ...

    @property
    def outputs(self) -> Mapping[str, Artifact]:
        """What it wrote, by name."""
        ...


_LARGEST = 64 << 20
_MOST_NAMED = 10


def read_finding(store: Trees, finding: Finding, record: Told) -> Any:
    """Return what the record of a step tells; raise UserErrorException if there is no such thing.

    Bytes that can't be had raise LostBytes.
    """
    if finding.kind == "metric":
        metrics = metrics_of(event for event in record.metrics if event["type"] == "metric")
        if finding.name not in metrics:
            facts = {"metrics of the step": _some(metrics) or "none"}
            hint = f"Let its script log it: `Run.get_context().log({finding.name!r}, …)`, or correct the name."
            raise UserErrorException(f"The step {finding.step!r} logged no metric {finding.name!r}", facts, hint)
        return metrics[finding.name]
    tree = output_tree(store, finding, record)
    if finding.kind == "files":
        return entries_in(tree, finding.path)
    if finding.kind == "count":
        return sum(matches(finding.path, entry.path) for entry in _files(tree))
    return _value(store, finding, record, tree)


def output_tree(store: Trees, finding: Finding, record: Told) -> Tree:
    """Return what is in the output that the finding is of."""
    digest = record.outputs[finding.name].digest
    return store.manifest(digest) or scan(store.bring(digest))


def entries_in(tree: Tree, pattern: str = "") -> list[str]:
    """Return the files that fit the pattern; without one, what stands at the top and does not begin with a dot."""
    if pattern:
        found = [entry.path for entry in _files(tree) if entry.path and matches(pattern, entry.path)]
    else:
        tops = dict.fromkeys(entry.path.partition("/")[0] for entry in tree.entries if entry.path)
        found = [name for name in tops if not name.startswith(".")]
    links = {entry.path for entry in tree.entries if entry.kind == "link"}
    if link := next(filter(links.__contains__, found), ""):
        raise UserErrorException(
            f"{link!r} is a link, and a step can't be mapped over links",
            hint="Let the script that writes it copy the file there instead of linking it.",
        )
    return found


def _files(tree: Tree) -> list[Entry]:
    return [entry for entry in tree.entries if entry.kind != "folder"]


def _value(store: Trees, finding: Finding, record: Told, tree: Tree) -> Any:
    listed = {entry.path: entry for entry in tree.entries if entry.kind == "file"}
    entry = listed.get(finding.path)
    if entry is None:
        where = f"a file {finding.path!r}" if finding.path else "one file"
        raise UserErrorException(
            f"The output {finding.name!r} of step {finding.step!r} "
            + (f"has no {finding.path!r} in it" if finding.path else "is a folder, and no file with a list"),
            {"files": _some(listed) or "none"},
            f"Let its script write {where}, or name another one: `items('list.json')`.",
        )
    place = store.bring(record.outputs[finding.name].digest)
    try:
        found = _parsed(place, finding.path, entry.size)
        for key in finding.key.split(".") if finding.key else ():
            found = found[int(key)] if isinstance(found, list) else found[key]
    except (ValueError, RecursionError, LookupError, TypeError) as error:
        missing = isinstance(error, (LookupError, TypeError))
        what = f"no value {finding.key!r}" if missing else "no JSON that can be read"
        raise UserErrorException(
            f"There is {what} in the output {finding.name!r} of step {finding.step!r}",
            {"file": finding.path or "the output itself", "reason": error},
            "Let its script write it with `json.dump`, or correct what is asked for.",
        ) from error
    return found


def _parsed(place: Path, path: str, size: int) -> Any:
    if size > _LARGEST:
        raise ValueError(f"it has {size} bytes, and {_LARGEST} at most are read")
    if not path:
        return json.loads(read_bytes(place))
    with open_file(place, path) as stream:
        return json.loads(stream.read())


def _some(names: Any) -> str:
    listed = list(map(str, names))
    return ", ".join(listed[:_MOST_NAMED]) + (f" and {len(listed) - _MOST_NAMED} more" * (len(listed) > _MOST_NAMED))
