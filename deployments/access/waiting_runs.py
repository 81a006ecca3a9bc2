"""How many ordered runs wait for a worker: past a bound, no more are taken."""

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
    asked = {
        "deployments": {"tags": {"all_": [TAG]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED", "PENDING"]}}, "expected_start_time": due},
    }

    def ask() -> int:
        with client() as api:
            return int(api.request("POST", "/flow_runs/count", json=asked).json())

    return with_retries(ask, SECONDS_WITHOUT_SERVER)


_LATEST = SharedLookup(_count)


def check_room(most: int) -> None:
    """Nothing; HttpError with status 429 if as many runs wait already. Calls at the same moment don't count each other."""
    waiting = _LATEST.get()
    if waiting >= most:
        raise HttpError(
            429, "TooManyWaiting", f"{waiting} runs wait for a worker already", "Call again later.", wait=_WAIT
        )
