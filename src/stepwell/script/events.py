"""What a script logged, as its step's control folder holds it: the format, and how the host reads it, with no trust.

Each thing logged is one line of JSON in `events.jsonl`; kept files stand under `files/`, those of the pipeline run under
`parent_files/`. `context.json`, if there, holds what the script may ask for.

An event is {"type", "scope", "name", "value", "time"}, with "kind" for metrics and "step" and "description" if given:

    type      metric, image, tag, untag, property, file, model, failed or incomplete
    scope     step, or parent for the pipeline run
    name      of the metric, tag, property, file or model, after `<child>/` for a child run; of `failed` the child, or "";
              of `incomplete` ""
    kind      one of `metrics.KINDS`
    value     of a metric as `metrics.encoded` writes it; of image and file the path of the kept file below its folder, of
              model that of a file or folder which becomes a version of the model of this name

Events stay encoded, so they can be kept in any JSON; `metrics.metrics_of` decodes. Secrets are masked where an event is
written, so that nobody meets one while the step runs or after it was killed, and once more where it is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from stepwell.errors import UserErrorException
from stepwell.model.nofollow import is_file, open_file
from stepwell.script.metrics import KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from stepwell.script.metrics import Scope

    Redact = Callable[[str], str]

EVENTS = "events.jsonl"
CONTEXT = "context.json"
FOLDERS = {"step": "files", "parent": "parent_files"}
LONGEST_LINE = 64 << 20

_PLAIN = ("type", "scope", "kind", "step", "time")  # what can't hold a secret
_FIELDS = ("type", "scope", "name", "kind", "value", "step", "description", "time")


def read_events(control: str | os.PathLike[str], redact: Redact | None = None) -> list[dict[str, Any]]:
    """Read the events logged in a control folder, oldest first, still encoded, and masked by `redact`.

    Torn lines and garbage are left out.
    """
    from json import dumps, loads

    events = []
    for line in _lines(*os.path.split(os.path.normpath(control))):
        try:
            event = loads(line.decode("utf-8", "replace"), parse_float=_finite, parse_constant=_finite)
            if b"\\u" in line:  # half of a pair of surrogates can't be written as UTF-8 later on
                event = loads(dumps(event, ensure_ascii=False).encode("utf-8", "replace"))
            if _is_event(event):
                known = {key: event[key] for key in _FIELDS if key in event}
                events.append(masked(known, redact) if redact else known)
        except (ValueError, RecursionError):
            continue
    return events


def masked(event: Mapping[str, Any], redact: Redact) -> dict[str, Any]:
    """Return the event with `***` for every secret in its name, value and description."""
    from stepwell.model.redaction import redacted

    return {key: value if key in _PLAIN else redacted(value, redact) for key, value in event.items()}


def masked_events(control: str | os.PathLike[str], redact: Redact) -> bytes | None:
    """Return the log of a control folder with its secrets masked, also those that something else than `Run` wrote there.

    None if it holds none.
    """
    lines = list(_lines(*os.path.split(os.fspath(control))))
    clean = [_masked_line(line, redact) for line in lines]
    return b"".join(clean) if clean != lines else None


def _masked_line(line: bytes, redact: Redact) -> bytes:
    from json import dumps, loads

    text = line.decode("utf-8", "surrogateescape")
    try:
        event = loads(text)
        if isinstance(event, dict):
            clean = masked(event, redact)
            return line if clean == event else f"{dumps(clean)}\n".encode("ascii")
    except (ValueError, RecursionError):
        pass
    return redact(text).encode("utf-8", "surrogateescape")


def files_of(control: Path, events: Iterable[Mapping[str, Any]], scope: Scope = "step") -> dict[str, Path]:
    """Return names of kept files and images with their places; only regular files with no link on the way count."""
    names = {event["value"] for event in events if event["scope"] == scope and event["type"] in ("file", "image")}
    kept = (name for name in sorted(names) if is_file(control.parent, f"{control.name}/{FOLDERS[scope]}/{name}"))
    return {name: control / FOLDERS[scope] / name for name in kept}


def confined(name: str) -> str:
    """Return the name of a file as a plain path; raise UserErrorException if it isn't below its folder."""
    path = os.path.normpath(name) if isinstance(name, str) and name else "."
    if os.path.isabs(path) or path.split("/")[0] in ("..", ".") or "\0" in path:
        raise UserErrorException(
            "The name of a file must be a path below the run's folder",
            {"name": repr(name)},
            "Use a relative name without `..`, such as outputs/model.pkl.",
        )
    return path


def _is_event(event: Any) -> bool:
    if not isinstance(event, dict) or event.get("scope") not in ("step", "parent"):
        return False
    name, value, kind = event.get("name"), event.get("value"), event.get("kind")
    if not isinstance(name, str) or "value" not in event or type(event.get("time")) not in (int, float):
        return False
    if not isinstance(event.get("description", ""), str) or type(event.get("step", 0)) not in (int, float):
        return False
    match event.get("type"):
        case "metric":
            return isinstance(kind, str) and isinstance(value, KINDS.get(kind, ()))
        case "image" | "file" | "model":
            return isinstance(value, str) and _is_confined(value)
        case "tag":
            return value is None or isinstance(value, str)
        case "property" | "failed" | "incomplete" | "untag":
            return isinstance(value, str)
    return False


def _is_confined(name: str) -> bool:
    try:
        return confined(name) == name
    except UserErrorException:
        return False


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError("not a number that JSON can hold")
    return number


def _lines(parent: str, control: str) -> Iterator[bytes]:
    """Yield the lines of the log, the longest in pieces; none if it is missing, no regular file, or behind a link."""
    if not os.path.lexists(os.path.join(parent, control, EVENTS)):
        return  # as of most steps
    try:
        stream = open_file(parent or ".", f"{control}/{EVENTS}")
    except OSError:
        return
    with stream:
        yield from iter(lambda: stream.readline(LONGEST_LINE), b"")
