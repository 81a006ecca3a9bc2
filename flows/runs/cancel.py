"""How a run is cancelled: a marker file in its folder, or Prefect's UI, stops the process that runs it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.schemas.objects import State, StateType

from stepwell.blocks.processes.process_tree import kill_stray
from stepwell.blocks.server.connection import named_server
from stepwell.blocks.server.documents import client
from stepwell.blocks.store import untold
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.system.home import make_folder
from stepwell.errors import ExperimentExecutionException
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.runs.summary import ENDED_STEP, FINAL
from stepwell.model.names import folder_name

_MARKER = "cancel"
_STEPS = "cancel-steps"
"""The folder of the markers of steps to cancel alone."""

_LOOK_SECONDS, _ASK_SECONDS, _WAIT_SECONDS = 0.2, 3.0, 15.0


@contextmanager
def watch_for_cancel(context: RunContext) -> Iterator[None]:
    """While the block runs, stop the steps if `cancel` leaves its marker in the run's folder or Prefect cancels the run."""
    done = threading.Event()
    for look in (_watch, _watch_prefect):
        threading.Thread(target=look, args=(context, done), name="stepwell-cancel", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _watch(context: RunContext, done: threading.Event) -> None:
    while not done.wait(_LOOK_SECONDS):
        if (context.run.path / _MARKER).exists():
            context.stop.stop("cancelled")
            return
        with suppress(OSError):
            for step in os.listdir(context.run.path / _STEPS):
                context.stop.stop_part(step)


def _watch_prefect(context: RunContext, done: threading.Event) -> None:
    while not done.wait(_ASK_SECONDS):
        if _cancelled_in_prefect(context.run.run_id) and not done.is_set():
            context.stop.stop("cancelled")
            return


def _cancelled_in_prefect(run_id: str) -> bool:
    with suppress(Exception), client() as api:  # a server that is away for a while cancels nothing
        state = api.read_flow_run(UUID(run_id)).state
        return state is not None and state.type in (StateType.CANCELLING, StateType.CANCELLED)
    return False


def ask_to_cancel(run: RunFolder) -> None:
    """Ask the process of the run, if it is at work on this machine, to end it within seconds."""
    make_folder(run.path)
    (run.path / _MARKER).touch()


def cancel(run: RunFolder) -> None:
    """Cancel the run and wait for its end, for seconds at most. A run that has ended stays as it is."""
    if run.status().get("status") in FINAL:
        return
    if run.heard():
        _cancel_elsewhere(run)
        return
    ask_to_cancel(run)
    deadline = time.monotonic() + _WAIT_SECONDS
    while run.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    if run.is_alive() or run.status().get("status") in FINAL:
        return
    for step in run.steps().values():
        if step.get("step_run_id"):
            kill_stray(f"stepwell-{step['step_run_id']}")
    run.append({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "status": "Canceled"})
    untold.note(run, named_server())
    with client() as api:
        api.set_flow_run_state(
            UUID(run.run_id), State(type=StateType.CANCELLED, message="The run was cancelled"), force=True
        )
    untold.forget(run.run_id)


def cancel_step(run: RunFolder, step: str) -> None:
    """Cancel a step of the run alone, and wait for its end, for seconds at most; one that has yet to begin ends when it does.

    A step that has ended stays as it is. Raise ExperimentExecutionException for one of a user's own flow.
    """
    if _has_ended(run, step):
        return
    if run.facts().get("kind") == "flow":
        raise ExperimentExecutionException(
            "A step of a flow of your own is cancelled with its flow",
            {"run": run.label},
            "Cancel the flow run in Prefect's UI.",
        )
    make_folder(run.path / _STEPS)
    (run.path / _STEPS / folder_name(step)).touch()
    deadline = time.monotonic() + _WAIT_SECONDS
    while run.steps().get(step, {}).get("status") == "running" and run.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)


def _has_ended(run: RunFolder, step: str) -> bool:
    state = run.steps().get(step, {}).get("status")
    return run.status().get("status") in FINAL or state in ENDED_STEP


def _cancel_elsewhere(run: RunFolder) -> None:
    """Ask, by way of Prefect, the machine that is at work on the run to end it, and wait for that, for seconds at most."""
    deadline = time.monotonic() + _WAIT_SECONDS
    with client() as api:
        state = api.read_flow_run(UUID(run.run_id)).state
        if state is None or state.is_final():
            return
        begun = state.type in (StateType.RUNNING, StateType.CANCELLING)
        kind = StateType.CANCELLING if begun else StateType.CANCELLED
        api.set_flow_run_state(UUID(run.run_id), State(type=kind, message="The run was cancelled"), force=True)
        while begun and time.monotonic() < deadline:
            state = api.read_flow_run(UUID(run.run_id)).state
            if state is None or state.is_final():
                return
            time.sleep(0.5)
