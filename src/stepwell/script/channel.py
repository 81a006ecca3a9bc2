"""The channel from a step's script to the host of its run: narrow, and the only way there.

A script asks for one operation, named `subject.verb`, with arguments that JSON can hold, over a Unix socket that only its
step has; what may be asked is listed by the host (`flows.step_requests.operations`). Each request is a connection of its
own, so that threads, forks and other Pythons of the step never mix theirs up. Messages are frames, `frames.py` has them.
"""

from __future__ import annotations

import os

from stepwell.errors import RunEnvironmentException, StepwellError, UserErrorException

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    import socket
    from typing import Any

SOCKET, TOKEN = "STEPWELL_CHANNEL", "STEPWELL_CHANNEL_STEP"
RECEIVED = "received"
"""Where files that the host sends stand, beside the socket."""

LONGEST_ADDRESS = 100
"""What is longer is no address to a kernel: such a socket is reached through its folder."""

_SILENCE_SECONDS = 3600.0


def available() -> bool:
    """Return whether this process is one of a step that may ask the host of its run."""
    return bool(os.environ.get(SOCKET) and os.environ.get(TOKEN))


def ask(operation: str, **arguments: Any) -> Any:
    """Return the host's answer to a request, plain values.

    Raises:
        StepwellError: What went wrong on the host, as the class of error that it was there.
        RunEnvironmentException: There is no channel here, or nobody answers.
    """
    with _request(operation, arguments) as (connection, _):
        return _answer(operation, connection).get("value")


def receive(operation: str, **arguments: Any) -> str:
    """Return the path of a file or folder that the host provides; it is only to be read, and lasts as long as the step.

    Raises:
        StepwellError: What went wrong on the host, as the class of error that it was there.
        RunEnvironmentException: There is no channel here, or nobody answers.
    """
    from stepwell.script.frames import ClosedError, read_tree

    with _request(operation, arguments) as (connection, place):
        answer = _answer(operation, connection)
        if "path" in answer:
            return str(answer["path"])
        try:
            return read_tree(connection, _new_folder(os.path.join(os.path.dirname(place), RECEIVED)))
        except (OSError, ClosedError) as error:
            raise _silent(operation, error) from None


def send(operation: str, path: str | os.PathLike[str], **arguments: Any) -> Any:
    """Give the host a file or folder, and return its answer, plain values.

    Raises:
        OSError: There is nothing at the path, or it can't be read.
        StepwellError: What went wrong on the host, as the class of error that it was there.
        RunEnvironmentException: There is no channel here, or nobody answers.
    """
    os.stat(path)
    with _request(operation, arguments, os.fspath(path)) as (connection, _):
        return _answer(operation, connection).get("value")


# ----------------------------------------------------------------------------------------------------------------------


class _request:  # noqa: N801  (a function in all but its cost)
    """The connection of one request, sent, and the socket's path."""

    def __init__(self, operation: str, arguments: dict[str, Any], path: str | None = None) -> None:
        self._operation, self._path = operation, path
        self._request = {"operation": operation, "arguments": arguments, "sends": path is not None}

    def __enter__(self) -> tuple[socket.socket, str]:
        import socket

        place, token = os.environ.get(SOCKET), os.environ.get(TOKEN)
        if not (place and token):
            raise RunEnvironmentException(
                "Only a script that runs inside a step can ask the host of its run",
                {"asked for": self._operation, "missing": f"{SOCKET} and {TOKEN} in the environment"},
                "Start the script as a step of a pipeline.",
            )
        from stepwell.script.frames import write_frame, write_tree

        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._connection.settimeout(_SILENCE_SECONDS)
            try:
                _connect(self._connection, place)
            except OSError as error:
                raise _silent(self._operation, error) from None
            try:
                write_frame(self._connection, {"token": token, **self._request})
                if self._path is not None:
                    write_tree(self._connection, self._path)
                self._connection.shutdown(socket.SHUT_WR)
            except ConnectionError:
                pass  # it may have said why before it hung up
            except TimeoutError as error:
                raise _silent(self._operation, error) from None
            except (ValueError, TypeError) as error:
                title = f"An argument of {self._operation!r} can't be sent to the host of the run"
                raise UserErrorException(
                    title, {"reason": error}, "Pass text, numbers, lists and dictionaries."
                ) from None
        except BaseException:
            self._connection.close()
            raise
        return self._connection, place

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _connect(connection: socket.socket, place: str) -> None:
    if len(os.fsencode(place)) < LONGEST_ADDRESS:
        connection.connect(place)
        return
    folder = os.open(os.path.dirname(place), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{os.path.basename(place)}")
    finally:
        os.close(folder)


def _answer(operation: str, connection: socket.socket) -> dict[str, Any]:
    from stepwell.script.frames import ClosedError, read_frame

    try:
        answer = read_frame(connection)
    except (OSError, ClosedError, ValueError) as error:
        raise _silent(operation, error) from None
    failed = answer.get("error")
    if failed is None:
        return answer
    from stepwell import errors

    kind = getattr(errors, str(failed.get("class")), StepwellError)
    if not (isinstance(kind, type) and issubclass(kind, StepwellError)):
        kind = StepwellError
    raise kind(str(failed.get("title")), dict(failed.get("facts") or {}), str(failed.get("hint") or ""))


def _new_folder(above: str) -> str:
    os.makedirs(above, mode=0o700, exist_ok=True)
    while True:
        folder = os.path.join(above, os.urandom(8).hex())
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            continue
        return folder


def _silent(operation: str, error: BaseException) -> RunEnvironmentException:
    return RunEnvironmentException(
        "The host of the run does not answer",
        {"asked for": operation, "reason": str(error) or type(error).__name__},
        "Look whether the run still lives, and run the pipeline again.",
    )
