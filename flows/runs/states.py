"""How a run stands, and why it failed: what its own journal says, or, where that is silent, what Prefect believes."""

from __future__ import annotations

import re
from contextlib import suppress
from uuid import UUID

from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound

from stepwell.blocks.server.documents import client
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.errors import ActivityFailedException, ExperimentExecutionException
from stepwell.flows.runs.summary import ENDED_WITH_RUN, FINAL, GONE, summarize
from stepwell.model.redaction import here
from stepwell.model.regular_files import read_bytes

ENDS = {
    StateType.COMPLETED: "Finished",
    StateType.FAILED: "Failed",
    StateType.CRASHED: "Failed",
    StateType.CANCELLED: "Canceled",
}
_FACT = re.compile(r" {2}(\S(?:.*?\S)?) {2,}(.*)")
_SHOWN_LINES = 8


def status_of(folder: RunFolder, state: State | None) -> str:
    """Return the run's status: `NotStarted`, `Running`, `Finished`, `Failed` or `Canceled`.

    A run whose process died is `Running` for as long as Prefect believes so: it may be started again.
    """
    reported = str(folder.status().get("status", "NotStarted"))
    if reported in FINAL or state is None:
        return reported
    if state.type in ENDS:
        return ENDS[state.type]
    return "Running" if state.type in (StateType.RUNNING, StateType.CANCELLING) else reported


def fetch_status(folder: RunFolder) -> str:
    """Return the status of a run that has not begun here: as Prefect knows it, if it can be asked.

    Raise ExperimentExecutionException for one that neither has a folder nor is known to Prefect.
    """
    try:
        with client() as api:
            return status_of(folder, api.read_flow_run(UUID(folder.run_id)).state)
    except (ObjectNotFound, ValueError):  # no run's id is anything but a UUID
        if not folder.path.exists():
            raise ExperimentExecutionException(
                f"There is no run {folder.run_id!r}", hint="List the runs with `stepwell runs`."
            ) from None
    except Exception:  # noqa: BLE001, S110  (Prefect knows more if it can be asked, but needn't be)
        pass
    return status_of(folder, None)


def why_failed(run: RunFolder) -> ActivityFailedException:
    """Return the error that says why a run failed: what its steps met, or what ended it though none of them failed."""
    summary, look = summarize(run), f"Look at `stepwell show {run.reference}`."
    failed = [step for step in summary.steps if step.error and step.error != ENDED_WITH_RUN]
    if failed:
        facts = {"run": run.run_id, **{step.id: step.error for step in failed[:3]}}
        return ActivityFailedException(failed[0].error.splitlines()[0], facts, look)
    title, facts, hint = _parts(summary.problem or _told_by_prefect(run) or "The run failed")
    if title == GONE:
        facts |= {"last lines": _last_lines(run)}
    told = {name: text for name, text in {"run": run.run_id, **facts}.items() if text}
    return ActivityFailedException(title, told, hint or look)


def _parts(message: str) -> tuple[str, dict[str, str], str]:
    """Return the title, facts and hint of an error's message."""
    title, *lines = message.splitlines()
    facts: dict[str, str] = {}
    name = hint = ""
    for line in lines:
        fact = _FACT.fullmatch(line)
        if line.startswith("Hint: "):
            hint = line.removeprefix("Hint: ")
        elif fact:
            name = fact[1]
            facts[name] = fact[2]
        else:
            facts[name or "reason"] = "\n".join(filter(None, (facts.get(name or "reason"), line.strip())))
    return title, facts, hint


def _told_by_prefect(run: RunFolder) -> str:
    with suppress(Exception), client() as api:  # Prefect knows more if it can be asked, but needn't be
        state = api.read_flow_run(UUID(run.run_id)).state
        return str(state.message or "").strip() if state is not None else ""
    return ""


def _last_lines(run: RunFolder) -> str:
    with suppress(OSError):
        text = here().redact(read_bytes(run.path / "process.log").decode(errors="replace"))
        return "\n".join(text.strip().splitlines()[-_SHOWN_LINES:])
    return ""
