"""The folder of one run: what it is, what happened (an append-only journal), whether it lives, and its steps' files."""

from __future__ import annotations

import json
import os
import re
import shlex
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from stepwell.blocks.system.disk import SHARE_HINT, owner_of
from stepwell.blocks.system.files import write_atomically
from stepwell.blocks.system.home import make_folder, open_or_make
from stepwell.blocks.system.living import Machine, free_means_dead, locks_travel, machine, sign, signed_by, silent_for
from stepwell.blocks.system.locks import exclusive, shared
from stepwell.model.regular_files import read_bytes, regular_only

Event = dict[str, Any]

ENDED = ("Finished", "Failed", "Canceled")
"""The states of a run that has ended."""

_HEARTBEAT, _BEAT_SECONDS, _SILENCE_SECONDS, _DAY = "heartbeat", 20.0, 600.0, 86_400

TEXTS = ("error", "warning", "problem", "why", "ran_on", "undeclared", "differs")
"""The fields of an event that hold words for people; secrets in them are masked."""

HEARD = "heard.json"
DEAD_SECONDS = 120.0
"""After how long of silence another machine's run counts as dead."""

_NUMBER = (int, float)
_LARGEST = 1e11  # what is larger is no time and no count, and can't be shown as one
_EVENT_TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(
        (
            "at",
            "step",
            "status",
            "step_run_id",
            "task_run_id",
            "from_run",
            "key",
            "action",
            "server",
            "trial",
            "item_of",
        ),
        str,
    ),
    **dict.fromkeys(("error", "warning", "problem"), str),
    **dict.fromkeys(("seconds", "saved"), _NUMBER),
    **dict.fromkeys(("why", "upstream", "undeclared", "differs"), list),
    "undeclared_count": int,
    **dict.fromkeys(("ran_on", "datasets", "registered"), dict),
}
_FACT_TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("id", "name", "workspace", "experiment", "kind"), str),
    **dict.fromkeys(("number", "restarts", "pid"), int),
    "created": _NUMBER,
    **dict.fromkeys(
        ("tags", "pipeline", "published", "parameters", "snapshots", "properties", "trial", "machine"), dict
    ),
}

_HEARD_TYPES: dict[str, type | tuple[type, ...]] = {"machine": str, "state": str, "silent": _NUMBER, "seen": _NUMBER}


class RunFolder:
    """`run.json`, `journal.jsonl`, `alive.lock` and `steps/<step run id>/` of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def run_id(self) -> str:
        """The run's id: that of Prefect's flow run."""
        return self.path.name

    @property
    def label(self) -> str:
        """The run's short name in its workspace, such as `digits#12`; its id if it has no number yet."""
        return self._names.label

    @property
    def runs(self) -> str:
        """The name of the pipeline, or of the flow, that runs; '' if it is not known yet."""
        return self._names.runs

    @property
    def _names(self) -> RunNames:
        try:
            found = os.stat(self.path / "run.json")
        except OSError:
            return RunNames(self.run_id, "")
        return _names(self.path, (found.st_ino, found.st_mtime_ns, found.st_size))

    @property
    def reference(self) -> str:
        """The run's short name as a word of a shell's command."""
        return self.label if re.fullmatch(r"[\w.@+-]+(#[0-9]+)?", self.label, re.ASCII) else shlex.quote(self.label)

    def describe(self, facts: dict[str, Any]) -> None:
        """Add these facts to `run.json`."""
        write_atomically(self.path / "run.json", json.dumps({**self.facts(), **facts}).encode())

    def facts(self) -> dict[str, Any]:
        """Return what `run.json` holds; empty if there is none. A known fact of a wrong type is left out."""
        global _last_facts  # noqa: PLW0603  (a run of a thousand steps asks for them ten times)
        with suppress(OSError, ValueError, RecursionError):
            written, known = read_bytes(self.path / "run.json"), _last_facts
            if written != known[0]:
                _last_facts = known = written, _facts_in(written)
            return dict(known[1])
        return {}

    def is_legible(self) -> bool:
        """Return whether what is there can be read and understood; what isn't may be another user's or version's."""
        try:
            os.listdir(self.path)
            with suppress(FileNotFoundError):
                os.listdir(self.path / "steps")
            with suppress(FileNotFoundError), open(self.path / "journal.jsonl", "rb", opener=regular_only):
                pass
            with suppress(FileNotFoundError):
                return isinstance(json.loads(read_bytes(self.path / "run.json")), dict)
        except (OSError, ValueError, RecursionError):
            return False
        return True

    def append(self, *events: Event) -> None:
        """Append the events to the journal, each on a line of its own though the one before was cut off."""
        lines = b"".join(b"\n" + json.dumps(event, separators=(",", ":")).encode() + b"\n" for event in events)
        path = self.path / "journal.jsonl"
        # Not blocking, a pipe in its place is an error at once.
        flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            make_folder(self.path)
            descriptor = open_or_make(path, flags)
        try:
            while lines:
                lines = lines[os.write(descriptor, lines) :]
        finally:
            os.close(descriptor)

    def journal(self) -> list[Event]:
        """Return every event so far; what was cut off, or is no event that was written here, is left out."""
        with suppress(OSError):
            return [*map(dict, _events(read_bytes(self.path / "journal.jsonl")))]
        return []

    def steps(self) -> dict[str, Event]:
        """Return the latest state of each step by its id, in the order of definition or first appearance."""
        return latest_states(self.journal())

    def status(self) -> Event:
        """Return the latest state of the whole run."""
        state: Event = {}
        for event in self.journal():
            if "step" not in event:
                state.update(event)
        return state

    def step_folder(self, step_run_id: str) -> Path:
        """Return the folder of a step's logs, metrics and outputs, whether or not it is there."""
        return self.path.joinpath("steps", step_run_id)

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Mark the run as living for as long as the block, or the process, lasts."""
        make_folder(self.path)
        path, ended = self.path / "alive.lock", threading.Event()
        with exclusive(path):
            with suppress(OSError), open(path, "r+b") as file:
                sign(file.fileno())
            if not locks_travel(path):
                threading.Thread(target=self._beat, args=(ended,), name="stepwell-heartbeat", daemon=True).start()
            try:
                yield
            finally:
                ended.set()

    def _beat(self, ended: threading.Event) -> None:
        while True:
            with suppress(OSError):
                (self.path / _HEARTBEAT).touch()
            if ended.wait(_BEAT_SECONDS):
                return

    def is_alive(self) -> bool:
        """Return whether a process is at work on the run; what can't be told of another machine's lives until it is silent."""
        if heard := self.heard():
            return heard["state"] not in ENDED and self.silent_seconds() < DEAD_SECONDS
        path = self.path / "alive.lock"
        if not os.path.isfile(path):
            return False
        with shared(path, blocking=False) as free:  # shared: others who ask don't look alive
            if not free:
                return True
        if free_means_dead(path) or self.status().get("status") in ENDED:
            return False
        sign_of_life, patience = (self.path / _HEARTBEAT, _SILENCE_SECONDS) if signed_by(path) else (path, _DAY)
        return silent_for(sign_of_life if sign_of_life.exists() else path) < patience

    def heard(self) -> dict[str, Any]:
        """Return what was heard of a run that another machine is or was at work on; empty if the folder is the run's own."""
        try:
            found = json.loads(read_bytes(self.path / HEARD))
        except (OSError, ValueError, RecursionError):
            return {}
        known = isinstance(found, dict) and all(_fits(name, found.get(name), _HEARD_TYPES) for name in _HEARD_TYPES)
        return found if known else {}

    def note_heard(self, machine: str, state: str, silent: float, more: Mapping[str, Any] | None = None) -> None:
        """Note that the folder is a copy of what another machine tells of its run, and for how long that has been silent.

        `more`, where it is known: `distrust`, why that is not to be believed; `key_id`, what signed it; how far it tells.
        """
        facts = {"machine": machine, "state": state, "silent": min(silent, 1e10), "seen": time.time()}
        facts |= {name: fact for name, fact in (more or {}).items() if fact}
        write_atomically(self.path / HEARD, json.dumps(facts).encode())

    def take_over(self) -> None:
        """Make the copy of another machine's run the run's own folder."""
        with suppress(OSError):
            (self.path / HEARD).unlink(missing_ok=True)

    def silent_seconds(self) -> float:
        """Return for how long nothing was heard of another machine's run."""
        heard = self.heard()
        return float(heard["silent"]) + max(0.0, time.time() - heard["seen"]) if heard else 0.0

    @property
    def is_elsewhere(self) -> bool:
        """Whether another machine is, or was, at work on the run."""
        signed = self.machine
        return bool(self.heard()) or (signed is not None and signed["kernel"] != machine()["kernel"])

    @property
    def distrust(self) -> str:
        """Why what was heard of another machine's run is not to be believed, in words; '' if it is."""
        return str(self.heard().get("distrust", ""))

    @property
    def machine_name(self) -> str:
        """The name of the machine that is, or was, at work on the run; '' if that is not known."""
        noted = self.machine or self.facts().get("machine", {})
        return str(self.heard().get("machine") or noted.get("name", ""))

    @property
    def machine(self) -> Machine | None:
        """Where the run is, or was, at work; None if it never was, or an earlier release did not note it."""
        return signed_by(self.path / "alive.lock")


def readable_runs(folders: Sequence[Path]) -> list[Path]:
    """Return the folders that are of runs; of those that can't be read, warn."""
    found: list[Path] = []
    hidden: list[Path] = []
    for folder in folders:
        file = f"{folder}/run.json"
        try:
            os.stat(file)
        except PermissionError:
            hidden.append(folder)
        except OSError:
            continue
        else:
            (found if os.access(file, os.R_OK) else hidden).append(folder)
    if hidden:
        owners = ", ".join(sorted({owner_of(folder) for folder in hidden}))
        warnings.warn(
            f"{len(hidden)} runs are left out, since this user may not read them: they are owned by {owners}. {SHARE_HINT}",
            stacklevel=3,
        )
    return found


_last_facts: tuple[bytes, dict[str, Any]] = (b"", {})
_last_read: tuple[bytes, list[Event]] = b"", []
"""The journal that was read last, and its events: at its end a run is summarized again and again, with little that is new."""


def _facts_in(written: bytes) -> dict[str, Any]:
    found = json.loads(written)
    named = found.items() if isinstance(found, dict) else ()
    facts = {name: fact for name, fact in named if _fits(name, fact, _FACT_TYPES)}
    if "pipeline" in facts:
        facts["pipeline"] = _sound(facts["pipeline"])
    return facts


def _events(journal: bytes) -> list[Event]:
    global _last_read  # noqa: PLW0603  (a journal is only ever appended to)
    before, events = _last_read
    if not (before.endswith(b"\n") and journal.startswith(before)):
        before, events = b"", []
    new = list(_events_in(journal[len(before) :]))
    _last_read = journal, [*events, *new]
    return _last_read[1]


def _events_in(journal: bytes) -> Iterator[Event]:
    for line in journal.splitlines():
        with suppress(ValueError, RecursionError):
            event = json.loads(line)
            if _is_event(event):
                yield event


class RunNames(NamedTuple):
    """How a run is called, and what runs."""

    label: str
    runs: str


@lru_cache(maxsize=256)  # a thousand reused steps name the same few runs, each of a thousand steps
def _names(path: Path, _: tuple[int, int, int]) -> RunNames:
    return names_of(path.name, RunFolder(path).facts())


def names_of(run_id: str, facts: Mapping[str, Any]) -> RunNames:
    """Return how the run is called of whose `run.json` these are the facts, and what runs."""
    names = [facts.get(kind, {}).get("name") for kind in ("pipeline", "published")]
    named = next((name for name in names if isinstance(name, str)), None)
    name = re.sub(" ?#[0-9]+$", "", str(facts.get("name", "run"))) if named is None else named
    label = run_label(name, facts["number"]) if "number" in facts else run_id
    return RunNames(label, str(names[0] or facts.get("name", "")))


def run_label(name: str, number: int) -> str:
    """Return the short name of a run: that of its pipeline or flow, and its number in the workspace, as in `digits#12`."""
    return f"{name}#{number}"


def latest_states(journal: Iterable[Event]) -> dict[str, Event]:
    """Return the latest state of each step that the events name, by its id, in the order of first appearance."""
    known: dict[str, Event] = {}
    for event in journal:
        if "step" in event:
            known.setdefault(event["step"], {}).update(event)
    return known


def _sound(pipeline: dict[str, Any]) -> dict[str, Any]:
    """Return a pipeline's definition without what can be none of its steps and parameters."""
    steps, parameters = pipeline.get("steps", []), pipeline.get("parameters", [])
    found = {
        "steps": [step for step in steps if _is_step(step)] if isinstance(steps, list) else [],
        "parameters": [one for one in parameters if isinstance(one, dict)] if isinstance(parameters, list) else [],
    }
    return {**pipeline, **{name: part for name, part in found.items() if name in pipeline}}


def _is_step(step: Any) -> bool:
    if not isinstance(step, dict) or not isinstance(step.get("id"), str) or not isinstance(step.get("name", ""), str):
        return False
    ports = step.get("outputs", [])
    return isinstance(ports, list) and all(
        isinstance(port, dict) and isinstance(port.get("name"), str) for port in ports
    )


def _is_event(event: Any) -> bool:
    """Return whether all that is known of events has its type, and ids name no other folder."""
    if not isinstance(event, dict) or not all(_fits(name, value, _EVENT_TYPES) for name, value in event.items()):
        return False
    lists = ("why", "upstream", "undeclared", "differs")
    texts = (*(text for name in lists for text in event.get(name, ())), *event.get("ran_on", {}).values())
    ids = (event.get("step_run_id", ""), event.get("from_run", ""), event.get("trial", ""))
    named = (*event.get("datasets", {}).values(), *event.get("registered", {}).values())
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(facts, dict) for facts in named):
        return False
    return all(map(_names_no_other_folder, ids))


def _names_no_other_folder(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # JSON has texts that no file can have for a name
        return False
    return "/" not in name and "\0" not in name and name != ".."


def _fits(name: str, value: Any, types: dict[str, type | tuple[type, ...]]) -> bool:
    if name not in types:
        return True
    if isinstance(value, (int, float)) and (isinstance(value, bool) or not 0 <= value < _LARGEST):
        return False
    return isinstance(value, types[name])
