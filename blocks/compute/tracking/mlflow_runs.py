"""MLflow in a step: it logs to files of the step's own, which become metrics, properties, tags, files and models of its run.

MLflow's layout of files, below its root: `<experiment>/<run>/` has `meta.yaml`, `metrics/<name>` (lines of time, value
and step), `params/<name>`, `tags/<name>` and `artifacts/`; from release 3 on a logged model stands in
`<experiment>/models/<id>/`, with `artifacts/` and a `meta.yaml` that names the run; `models/<name>/version-<n>/meta.yaml`
is a version that was registered.

The run that began first is the step's; what others logged, nested ones too, goes by their names.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from stepwell.blocks.system.files import remove, take
from stepwell.model.nofollow import append_file, files_below, open_file, open_folder
from stepwell.script.events import EVENTS, FOLDERS
from stepwell.script.metrics import encoded

_FOLDER, _ROOT = "mlflow", "mlruns"
_FACT = re.compile(r"^(\w+): *(.*?) *$", re.MULTILINE)
_SOURCE = re.compile(rf".*/{_FOLDER}/{_ROOT}/(.+)")
_MOST_BYTES = 64 << 20
"""How much of a file is read: a step may have written anything."""


def variables(control: Path) -> dict[str, str]:
    """Return what tells MLflow to log to the control folder, at the path where the step sees it."""
    uri = (control / _FOLDER / _ROOT).as_uri()
    return {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_ALLOW_FILE_STORE": "true",
    }  # without a word of consent, 3.x has no files


def keep(record: Path, control: Path) -> None:
    """Take over what MLflow logged in the control folder of a step, which is one of its record's, once its processes have ended."""
    left = control / _FOLDER
    if not os.path.lexists(left):
        return
    taken, files = record / _FOLDER, record / "mlflow_files"
    try:
        take(left, taken, below=record)
        files.mkdir()
        events = list(_events(taken / _ROOT, files))
        places = dict(_moved(record, control, files))
        lines = [json.dumps(_placed(event, places)) for event in events]
        with append_file(record, f"{control.name}/{EVENTS}") as stream:
            stream.write("".join(f"\n{line}\n" for line in lines).encode("ascii"))
    except OSError:  # a link or special file in its place: there is nothing to take over
        pass
    finally:
        for folder in (taken, files):
            with suppress(OSError):
                remove(folder)


class _Run(NamedTuple):
    folder: str
    id: str
    name: str
    began: int
    is_nested: bool


def _events(root: Path, files: Path) -> Iterator[dict[str, Any]]:
    """Yield an event for all that was logged below MLflow's root; its files are moved to `files`."""
    names = sorted(files_below(root))
    runs = sorted(_runs(root, names), key=lambda run: (run.is_nested, run.began))
    prefixes = dict(zip((run.id for run in runs), _prefixes(runs), strict=True))
    kept: dict[str, str] = {}
    for run in runs:
        below = [name for name in names if name.startswith(f"{run.folder}/")]
        yield from _logged(root, run.folder, below, prefixes[run.id])
        yield from _kept(root, f"{run.folder}/artifacts", below, prefixes[run.id], files, kept)
    for name in names:
        if re.fullmatch(r"[^/]+/models/[^/]+/meta\.yaml", name):
            facts, folder = _facts(root, name), os.path.dirname(name)
            model = _confined(facts.get("name", "")) or "model"
            prefix = f"{prefixes.get(facts.get('source_run_id', ''), '')}{model}/"
            yield from _kept(root, f"{folder}/artifacts", names, prefix, files, kept)
    for name in names:
        if re.fullmatch(r"models/[^/]+/version-[0-9]+/meta\.yaml", name):
            yield from _registered(_facts(root, name), kept)


def _runs(root: Path, names: list[str]) -> Iterator[_Run]:
    for name in names:
        if re.fullmatch(r"[^/]+/[^/]+/meta\.yaml", name) and not name.startswith("models/"):
            facts, folder = _facts(root, name), os.path.dirname(name)
            nested = f"{folder}/tags/mlflow.parentRunId" in names
            began = facts.get("start_time", "")
            title = facts.get("run_name") or _text(root, f"{folder}/tags/mlflow.runName")
            start = int(began) if re.fullmatch("[0-9]{1,18}", began) else sys.maxsize
            yield _Run(folder, facts.get("run_id", folder), title, start, nested)


def _prefixes(runs: list[_Run]) -> Iterator[str]:
    """Yield what the names of each run begin with: nothing for the first one, then the run's own name, made unique."""
    taken: set[str] = set()
    for number, run in enumerate(runs):
        name = _confined(run.name) or f"run_{number + 1}"
        if number:
            name = name if name not in taken else f"{name}_{number + 1}"
            taken.add(name)
        yield f"{name}/" if number else ""


def _confined(name: str) -> str:
    """Return a name that a step gave as a path below a folder, '' if nothing is left of it."""
    return "/".join(part for part in name.replace("\0", "").split("/") if part not in ("", ".", ".."))


def _logged(root: Path, folder: str, names: list[str], prefix: str) -> Iterator[dict[str, Any]]:
    for name in names:
        kind, _, logged = name.removeprefix(f"{folder}/").partition("/")
        event = {"scope": "step", "name": prefix + logged}
        if not logged:
            continue
        if kind == "metrics":
            lines = [line.split() for line in dict.fromkeys(_text(root, name).splitlines())]
            for line in lines:
                with suppress(ValueError, IndexError, OverflowError):
                    value, step = float(line[1]), int(line[2]) if len(line) > 2 else 0
                    facts = {"kind": "scalar", "value": encoded(value), "step": step, "time": int(line[0]) / 1000}
                    yield {"type": "metric", **event, **facts}
        elif kind == "params":
            yield {"type": "property", **event, "value": _text(root, name), "time": 0}
        elif kind == "tags" and not logged.startswith("mlflow."):
            yield {"type": "tag", **event, "value": _text(root, name), "time": 0}


def _kept(
    root: Path, folder: str, names: list[str], prefix: str, files: Path, kept: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """Move the files of a folder to `files`, note in `kept` what it is called there, and yield their events."""
    kept[folder] = prefix
    for name in names:
        if name.startswith(f"{folder}/"):
            called = prefix + name.removeprefix(f"{folder}/")
            with suppress(OSError):  # another file stands there, or in place of its folder, or its name is too long
                (files / called).parent.mkdir(parents=True, exist_ok=True)
                os.link(root / name, files / called, follow_symlinks=False)
            yield {"type": "file", "scope": "step", "name": called, "value": called, "time": 0}


def _registered(facts: Mapping[str, str], kept: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the event of a registered version, if what it is made of was logged in this step."""
    for key in ("storage_location", "source"):
        try:
            found = _SOURCE.fullmatch(unquote(urlsplit(facts.get(key, "")).path))
        except ValueError:  # it is no address
            continue
        if found is None or not facts.get("name"):
            continue
        for folder, prefix in kept.items():
            if f"{found[1]}/".startswith(f"{folder}/"):
                place = (prefix + found[1].removeprefix(folder).lstrip("/")).strip("/")
                yield {"type": "model", "scope": "step", "name": facts["name"], "value": place, "time": 0}
                return


def _moved(record: Path, control: Path, files: Path) -> Iterator[tuple[str, str]]:
    """Move each file or folder to the kept files of the step, and yield its name with the one that it has there."""
    with suppress(FileExistsError):
        os.mkdir(control / FOLDERS["step"])
    target = open_folder(record, f"{control.name}/{FOLDERS['step']}")
    try:
        there = set(os.listdir(target))
        for name in sorted(os.listdir(files)):
            place = next(one for one in (name, *(f"{name}_{n}" for n in range(1, 10**6))) if one not in there)
            os.rename(files / name, place, dst_dir_fd=target)
            yield name, place
    finally:
        os.close(target)


def _placed(event: dict[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    if event["type"] not in ("file", "model"):
        return event
    top, slash, rest = event["value"].partition("/")
    return {**event, "value": places.get(top, top) + slash + rest}


def _facts(root: Path, name: str) -> dict[str, str]:
    """Return the plain values of one of MLflow's `meta.yaml`."""
    return {key: "" if text == "null" else text.strip("'\"") for key, text in _FACT.findall(_text(root, name))}


def _text(root: Path, name: str) -> str:
    try:
        with open_file(root, name) as stream:
            return stream.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
