"""How a run stands: what its own journal says, or, where that is silent, what Prefect believes."""

from __future__ import annotations

from uuid import UUID

from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound

from stepwell.blocks.server.documents import client
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.errors import ExperimentExecutionException
from stepwell.flows.runs.summary import FINAL

ENDS = {
    StateType.COMPLETED: "Finished",
    StateType.FAILED: "Failed",
    StateType.CRASHED: "Failed",
    StateType.CANCELLED: "Canceled",
}


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
