"""Requests of steps that have runs made of their own script: trials, which belong to the step and end with it."""

from __future__ import annotations

from typing import Any

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.system.files import copy_tree
from stepwell.errors import UserErrorException
from stepwell.flows.step_requests.asking import Answer, Asker, Trials
from stepwell.model.nofollow import files_below, is_file

_KEPT = {"outputs": "outputs", "logs": "user_logs"}
"""The folders of a trial's step that hold what its script left, by the first part of the names of these files."""


def slots(asker: Asker) -> Answer:
    """Return how many trials may run at once."""
    return Answer(_trials(asker).slots)


def submit(
    asker: Asker,
    *,
    arguments: list[str],
    about: dict[str, Any],
    outputs: list[str] | None = None,
    timeout_seconds: float | None = None,
) -> Answer:
    """Start a run of the step's script with further arguments; `about` is kept with it."""
    return Answer(_trials(asker).submit(arguments, about, outputs or [], timeout_seconds))


def look(asker: Asker) -> Answer:
    """Return how the trials stand that have come farther since the last look."""
    return Answer(_trials(asker).look())


def metrics(asker: Asker) -> Answer:
    """Return all metrics of each trial."""
    return Answer(_trials(asker).metrics())


def cancel(asker: Asker, *, id: str, why: str) -> Answer:
    """Stop a trial."""
    _trials(asker).cancel(id, why)
    return Answer("CancelRequested")


def files(asker: Asker, *, id: str, name: str) -> Answer:
    """Provide a file that a trial's script kept, or a folder of such files."""
    run, step = _trials(asker).step_of(id)
    origin = RunFolder(asker.host.store.run_folder(step.run_id)) if step.run_id else run
    record = origin.step_folder(step.step_run_id)
    wanted = name.strip("/").removeprefix("./")
    first, _, rest = wanted.partition("/")
    places = [f"{_KEPT[first]}/{rest}".rstrip("/")] if first in _KEPT else []
    for place in (*places, f"control/files/{wanted}"):
        if is_file(record, place):
            path = _target(asker, wanted)
            copy_tree(record / place, path, below=record)
            return Answer(path=path)
        below = list(files_below(record, place))
        if below:
            path = _target(asker, wanted)
            for one in below:
                (path / one).parent.mkdir(parents=True, exist_ok=True)
                copy_tree(record / place / one, path / one, below=record)
            return Answer(path=path)
    kept = [f"{first}/{one}" for first, folder in _KEPT.items() for one in files_below(record, folder)]
    kept += files_below(record, "control/files")
    raise UserErrorException(
        f"The best trial kept no file {name!r}",
        {"run": run.label, "kept": ", ".join(kept[:20]) or "nothing"},
        "Write it to `outputs/` in the script, and name it as `model_file` of the TrainingOutput.",
    )


def output(asker: Asker, *, id: str, name: str) -> Answer:
    """Provide what a trial's script wrote to an output of the step."""
    trials = _trials(asker)
    record = trials.record_of(id)
    if record is None or name not in record.outputs:
        raise UserErrorException(f"The trial has no output {name!r}", {"run": id}, "Ask for one that it wrote.")
    return Answer(path=asker.host.store.bring(record.outputs[name].digest))


def _target(asker: Asker, wanted: str) -> Any:
    assert asker.folder
    return asker.folder() / (wanted.rpartition("/")[2] or "files")


def _trials(asker: Asker) -> Trials:
    if asker.rehearses:
        raise UserErrorException("A step that is only repeated makes no trials", hint="Run the pipeline instead.")
    driver = asker.call.definition.driver if asker.call else None
    if asker.trials is None or driver is None or not driver.on_host:
        raise UserErrorException(
            "A script makes no trials of itself", hint="Submit other scripts with `run.submit_child`."
        )
    return asker.trials()
