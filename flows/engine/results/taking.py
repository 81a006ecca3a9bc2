"""What a job left: its outputs are moved out of its reach, then read; what stands beside them is kept where rules say so."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from stepwell.blocks.compute.files_beside import warning_of
from stepwell.blocks.compute.job import Finished, Job
from stepwell.blocks.compute.working_directory import take_output
from stepwell.errors import StepFailedException, StepwellError, StoreException
from stepwell.model.datasets.file_names import matches
from stepwell.model.definitions import StepDefinition
from stepwell.model.nofollow import files_below
from stepwell.model.records import BESIDE
from stepwell.model.tree import Tree, scan

Staged = dict[str, tuple[Path, Tree]]
"""Where outputs are before they are kept, and what they hold, by name."""


def take_outputs(
    job: Job, finished: Finished, taken: Path, warn: Callable[[str], None]
) -> dict[str, tuple[Path, Tree]]:
    """Move the outputs out of the step's reach, into the folder `taken`, and return where they are and what they hold."""
    staged: dict[str, tuple[Path, Tree]] = {}
    step = job.call.definition.id
    globs = {port.name: port.source_globs for port in job.call.definition.outputs}
    for number, (name, path) in enumerate(finished.outputs.items()):
        place = taken / str(number)
        if name == BESIDE:
            staged |= _take_rest(job, finished, place, warn)
            continue
        try:
            if path.is_relative_to(job.folder):
                take_output(job, name, path, place, finished.seen_at.get(name))
                _leave_out(place, globs.get(name, ""))
            else:  # a target of the user's own has put it there
                place = path
            staged[name] = (place, scan(place))
        except FileNotFoundError:
            if name in job.call.definition.may_leave_empty:
                warn(f"Step {step!r} did not write its output {name!r}, which is therefore an empty folder")
                place.mkdir()
                staged[name] = (place, scan(place))
                continue
            raise StepFailedException(
                f"Declared output missing: step {step!r} did not write {name!r}, so its result was not kept",
                *_why_missing(job.call.definition, name, path),
            ) from None
        except StoreException as error:
            if "link" not in error.facts:
                raise
            raise StepFailedException(
                f"The output {name!r} of step {step!r} holds a link that leads out of it, so its result was not kept",
                {
                    "link": os.path.relpath(error.facts["link"], os.path.realpath(place)),
                    "leads to": error.facts["leads to"],
                },
                "Let the script copy the file there instead of linking it.",
            ) from error
    return staged


def _why_missing(step: StepDefinition, name: str, path: Path) -> tuple[dict[str, object], str]:
    """Return the facts of an output that was not written, and what to do: a script may not be told where to write it."""
    settings = step.driver.settings.values() if step.driver else ()
    told = (*step.arguments, *step.params.values(), *settings)
    if any((piece.kind, piece.value) == ("output", name) for argument in told for piece in argument):
        return {"path": path}, "Let the script write a file or folder at the path that it is given."
    facts = {"path": path, "arguments": "its path stands in none of them"}
    return (
        facts,
        f"Put the output into the step's `arguments=[…]` as well, and let the script write to the path that it gets for {name!r}.",
    )


def _leave_out(place: Path, pattern: str) -> None:
    """Remove the files of a folder that don't fit the pattern, and folders that are empty then; '' is fitted by all."""
    if not pattern or not place.is_dir():
        return
    for name in list(files_below(place)):
        if not matches(pattern, name):
            os.unlink(place / name)
            folder = os.path.dirname(name)
            while folder and not os.listdir(place / folder):
                os.rmdir(place / folder)
                folder = os.path.dirname(folder)


def _take_rest(job: Job, finished: Finished, place: Path, warn: Callable[[str], None]) -> dict[str, tuple[Path, Tree]]:
    """Take what a script left beside its outputs, which were taken, if that is kept; warn of what is not."""
    definition = job.call.definition
    try:
        take_output(job, BESIDE, finished.outputs[BESIDE], place, finished.seen_at.get(BESIDE))
        if warning := warning_of(definition, place):
            warn(warning)
        if definition.keeps_files_beside and os.listdir(place):
            return {BESIDE: (place, scan(place))}
    except (OSError, StepwellError) as error:
        warn(f"What step {definition.id!r} wrote beside its outputs can't be kept: {error}")
    return {}
