"""What compute targets take and return: a call with its data found, and how it finished."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepwell.blocks.processes.step_channel import Serve
from stepwell.blocks.remote.remote_store import RemoteStore
from stepwell.blocks.store.snapshots.snapshot import Snapshot
from stepwell.model.records import Exit, StepCall


@dataclass(frozen=True, slots=True)
class Job:
    """A call with its snapshot, and inputs that stand at these paths of this machine.

    `folder` is empty, for whatever the run needs; `record` gets the logs, metrics and notes that are kept. `context` is
    what the script may ask of the run that it is part of. Through `remote_store`, data reach machines that don't share
    a disk with this one. `own_code` are kept copies of modules, by the place that people work on. `requests` answers what
    the script asks, with the step's `token`; the target brings the connections there. `elsewhere` has the datastore, and the
    path there, of each input that stands on one which is not local, and a folder for each output whose datastore is not.
    Neither leaves this process, nor does `ready`, what the target prepared before the job's turn, if it did.
    """

    call: StepCall
    step_run_id: str
    snapshot: Snapshot | None
    inputs: dict[str, Path]
    folder: Path
    record: Path
    context: dict[str, Any]
    remote_store: RemoteStore | None = None
    own_code: dict[str, Snapshot] = field(default_factory=dict)
    requests: Serve | None = None
    token: str = ""
    elsewhere: dict[str, tuple[Any, str]] = field(default_factory=dict)
    ready: Any = None

    @property
    def control(self) -> Path:
        """Where the script leaves metrics, tags, files and notes: all of the record that a container sees."""
        return self.record / "control"

    @property
    def reads(self) -> Path:
        """Where the launcher notes what the script reads."""
        return self.control / "reads.jsonl"

    @property
    def imported(self) -> Path:
        """Where Pythons of the step note the installed packages that they imported."""
        return self.control / "imported.txt"

    @property
    def logs(self) -> Path:
        """Where the script's output is written."""
        return self.record / "logs"


def shown_input(call: StepCall, name: str, path: Path) -> str:
    """Return what the script is given for an input: its path, or the id of a dataset that it gets as such."""
    dataset = call.datasets.get(name, {})
    return str(dataset["id"]) if dataset.get("mode") == "direct" else str(path_of_input(call, name, path))


def path_of_input(call: StepCall, name: str, path: Path) -> Path:
    """Return the path of an input whose data stand at `path`: of the one entry that the step gets, if it gets no more."""
    entries = {port.name: port.entry for port in call.definition.inputs if port.entry and port.mode != "direct"}
    return path / entries[name] if name in entries else path


def parameter_variable(name: str) -> str:
    """Return the environment variable in which a script finds a parameter."""
    return "AML_PARAMETER_" + re.sub(r"\W", "_", name)


@dataclass(frozen=True, slots=True)
class Finished:
    """How a job's process ended, and where each output stands on this machine, if it was written.

    `same_files`: the process saw this machine's files under their names here. `facts` say where it ran, for people, who
    are also told of the `warnings`. `seen_at` are the paths where the process saw the outputs, if they are others. `failure`
    is the error of a process that failed where the target can say more of it than its exit does.
    """

    exit: Exit
    outputs: dict[str, Path]
    same_files: bool = True
    facts: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seen_at: dict[str, Path] = field(default_factory=dict)
    failure: Exception | None = None
