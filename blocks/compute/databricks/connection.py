"""The connection to a Databricks workspace: its official SDK, a clock that a cancelled run stops, and errors in words."""

from __future__ import annotations

import select
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple

from stepwell.errors import ComputeTargetException, StepwellError

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

    from stepwell.blocks.processes.output import OnOutput
    from stepwell.blocks.processes.runner import StopSignal

HOST, TOKEN = "DATABRICKS_HOST", "DATABRICKS_TOKEN"
"""The variables by which Databricks' own tools know a workspace and the token that opens it."""

_RETRY_SECONDS = 300
_LONG_PAUSE_SECONDS = 15


class Stopped(Exception):
    """The run was stopped while something was waited for."""


class Unanswered(ComputeTargetException):
    """The workspace did not answer, so that nobody knows whether it did what it was asked for."""


class StoppableClock:
    """The time, and pauses that end at once with `Stopped` when the run is cancelled. The SDK pauses by `sleep`."""

    def __init__(self, stop: StopSignal | None = None, on_output: OnOutput | None = None) -> None:
        self._stop, self._on_output = stop, on_output

    def time(self) -> float:
        """Return the seconds that have passed since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait as `wait` does before something is tried again, and tell it if it is long."""
        if self._on_output and seconds >= _LONG_PAUSE_SECONDS:
            self._on_output(f"Databricks asks for patience: the next try follows in {seconds:.0f} s\n")
        self.wait(seconds)

    def wait(self, seconds: float) -> None:
        """Wait for so many seconds; raise `Stopped` if the run is cancelled before or meanwhile."""
        if self._stop is None:
            time.sleep(seconds)
        else:
            poll = select.poll()
            poll.register(self._stop, select.POLLIN)
            if poll.poll(seconds * 1000):
                raise Stopped


class Address(NamedTuple):
    """Where a workspace is, and the token that opens it; `target` is the compute target, for people."""

    target: str
    host: str
    token: str


def require_sdk() -> None:
    """Raise ComputeTargetException if Databricks' SDK is not installed."""
    try:
        metadata.version("databricks-sdk")
    except metadata.PackageNotFoundError:
        title = "A Databricks workspace is reached with Databricks' SDK, which is not installed"
        raise ComputeTargetException(title, hint="Install stepwell[databricks].") from None


def connect(address: Address, clock: Any, *, retry_seconds: int = _RETRY_SECONDS) -> WorkspaceClient:
    """Return a client of the workspace. What is worth another try, it tries again, with pauses by the clock."""
    require_sdk()
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.core import Config

    class Settings(Config):
        """The given settings alone: the host is not asked for others, in calls that no clock of ours can stop."""

        @classmethod
        def attributes(cls) -> Iterable[Any]:
            """Return the names of all settings; the SDK looks for them in the very class."""
            return Config.attributes()

        def _resolve_host_metadata(self) -> None:
            pass

    settings = Settings(
        host=address.host,
        token=address.token,
        auth_type="pat",  # whatever else the environment names
        retry_timeout_seconds=retry_seconds,
        clock=clock,
        disable_experimental_files_api_client=True,  # its transfers have clocks of their own
        product="stepwell",
        product_version=metadata.version("stepwell").partition("+")[0],
    )
    return WorkspaceClient(config=settings)


@contextmanager
def told(address: Address, doing: str, unknown: str = "") -> Iterator[None]:
    """Raise what the SDK raises in the block as ComputeTargetException, in words.

    `doing` is what was tried, as in "run a job"; `unknown` is what a missing thing is called, as in "cluster 'x'".
    """
    import requests
    from databricks.sdk.errors.base import DatabricksError

    try:
        yield
    except StepwellError:
        raise
    except DatabricksError as error:
        raise _refusal(address, doing, unknown, error) from None
    except (requests.RequestException, TimeoutError) as error:
        cause = error.__cause__ or error
        busy = _said(cause) if isinstance(cause, DatabricksError) else ""
        title = f"The Databricks workspace of {address.target!r} does not answer"
        facts = {"host": address.host, "reason": busy or f"{type(cause).__name__}: {cause}"}
        hint = "Try again later." if busy else "Correct the host, or mend the network to it."
        raise Unanswered(title, facts, hint) from None
    except ValueError as error:  # what it says makes no sense, or it has nothing to choose from
        title = f"The Databricks workspace of {address.target!r} could not {doing}"
        facts, hint = {"host": address.host, "reason": str(error)}, "Correct the settings of the target or of the step."
        raise ComputeTargetException(title, facts, hint) from None


def _refusal(address: Address, doing: str, unknown: str, error: Any) -> ComputeTargetException:
    from databricks.sdk import errors

    facts = {"host": address.host, "reason": _said(error)}
    words = facts["reason"].lower()
    of_token = "token" in words and ("invalid" in words or "expired" in words)
    if isinstance(error, errors.Unauthenticated) or (isinstance(error, errors.PermissionDenied) and of_token):
        title = (
            f"The Databricks workspace of {address.target!r} does not take the access token: it is wrong or has expired"
        )
        hint = f"Attach the target again with a new token, or set {TOKEN} to one."
    elif isinstance(error, errors.PermissionDenied):
        title = f"The access token of {address.target!r} may not {doing} in its Databricks workspace"
        hint = "Ask an administrator of the workspace for the permission."
    elif unknown and (isinstance(error, errors.NotFound) or "does not exist" in facts["reason"]):
        title, hint = f"The Databricks workspace of {address.target!r} has no {unknown}", "Correct its name."
    else:
        title = f"The Databricks workspace of {address.target!r} could not {doing}"
        hint = "Mend what the reason names, then run again."
    return ComputeTargetException(title, facts, hint)


def _said(error: Any) -> str:
    """Return what the workspace said, without what the SDK adds of its own settings, and the code of it."""
    words = str(error).partition(" Config: ")[0].strip().rstrip(".")
    code = getattr(error, "error_code", None)
    return f"{code}: {words}" if code and not words.startswith(str(code)) else words


def is_gone(error: Exception) -> bool:
    """Return whether the SDK's error says that there is no such thing."""
    from databricks.sdk.errors import NotFound

    return isinstance(error, NotFound)
