"""Back-pressure: past a bound on the runs that wait for a worker, no more are accepted."""

from __future__ import annotations

from datetime import UTC, datetime

from stepwell.blocks.server.documents import client
from stepwell.blocks.server.retry import with_retries
from stepwell.deployments.access.http_errors import HttpError
from stepwell.deployments.access.registry import SECONDS_WITHOUT_SERVER
from stepwell.deployments.access.shared_lookup import SharedLookup
from stepwell.flows.publishing.publish import TAG

_WAIT = 10.0


def _count() -> int:
    due = {"before_": datetime.now(UTC).isoformat()}
    body = {
        "deployments": {"tags": {"all_": [TAG]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED", "PENDING"]}}, "expected_start_time": due},
    }

    def count() -> int:
        with client() as api:
            return int(api.request("POST", "/flow_runs/count", json=body).json())

    return with_retries(count, SECONDS_WITHOUT_SERVER)


_WAITING = SharedLookup(_count)


def check_queue(most: int) -> None:
    """Raise HttpError with status 429 if `most` runs wait already; calls at the same moment don't count each other."""
    waiting = _WAITING.get()
    if waiting >= most:
        raise HttpError(
            429, "TooManyWaiting", f"{waiting} runs wait for a worker already", "Call again later.", wait=_WAIT
        )
