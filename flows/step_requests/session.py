"""What one step asks while it runs: each request is checked and answered, and what the script got to know is noted."""

from __future__ import annotations

import contextvars
import hmac
import importlib
import inspect
import logging
import os
import secrets
import shutil
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from stepwell.blocks.arguments.hints import mismatch
from stepwell.blocks.system.files import remove
from stepwell.errors import ServerException, StepwellError, UserErrorException
from stepwell.flows.step_requests.asking import Answer, Asker, Handler, Host, Sent, Trials
from stepwell.flows.step_requests.looks import asked_again, value_of, value_of_error
from stepwell.flows.step_requests.operations import operation_of
from stepwell.model.fingerprint import TOO_MANY, look_name
from stepwell.model.records import StepCall
from stepwell.model.redaction import redacted
from stepwell.script.frames import ClosedError, read_frame, read_tree, write_frame, write_tree

_SECONDS_TO_ASK = 60.0
_SECONDS_OF_SILENCE = 600.0
_LARGEST_REQUEST = 8 << 20
_MOST_LOOKS = 1000
_LONGEST_LOOK = 1 << 20
_TRIALS = "stepwell.flows.trials.running"
"""What runs trials stands on runs, and these on this: it is looked up when a step has some made."""

_SPARED = 1 << 30
"""How many bytes of the disk a step's files leave free."""

_log = logging.getLogger("stepwell.step_requests")


class Session:
    """The requests of one step, from its start to its end. Its token is no longer good then."""

    def __init__(self, host: Host, call: StepCall, step_run_id: str, *, rehearses: bool = False) -> None:
        self.token = secrets.token_hex(24)
        self._asker = Asker(host, call, step_run_id, self._new_folder, rehearses, self._trials_of_step)
        self._trials: Trials | None = None
        self._host = host
        self._context = contextvars.copy_context()  # Prefect's settings stand there
        self._lock = threading.Lock()
        self._looks: dict[str, set[str]] = {}
        self._handed_out: set[str] = set()
        self._in_place: set[str] = set()
        self._folder: Path | None = None
        self._closed = False

    def close(self) -> None:
        """Answer nobody any more, end the step's trials, and remove what was provided for the step alone."""
        with self._lock:
            self._closed = True
            folder, self._folder = self._folder, None
        if self._trials is not None:
            self._trials.close()
        if folder:
            remove(folder)

    def looks(self, began: int) -> dict[str, str]:
        """Return the value of the row of each look of the script, by the row's name.

        Of one that was answered differently meanwhile it is a value that no later run can have.
        """
        with self._lock:
            known = {name: set(values) for name, values in self._looks.items()}
        for name in self._in_place & set(known):  # they may have been written to while the script read them
            with suppress(StepwellError):
                known[name].add(asked_again(self._asker, name))
                continue
            known[name].add("")
        return {
            name: next(iter(values))
            if len(values) == 1 and "" not in values
            else f"changed while the step ran ({began})"
            for name, values in known.items()
        }

    @property
    def seen_by_trials(self) -> set[str]:
        """What trials of the step were seen to read and to ask, though it was not declared."""
        return self._trials.seen() if self._trials is not None else set()

    @property
    def told_secrets(self) -> bool:
        """Whether the script was told a secret."""
        return any(name.startswith("secret.") for name in self._looks)

    def handed_out(self, path: str) -> bool:
        """Return whether a path is, or is in, what the script was given to read where it stands, which a look covers."""
        place = path.removesuffix("/.").rstrip("/")
        while place not in ("", "/"):
            if place in self._handed_out:
                return True
            place = os.path.dirname(place)
        return False

    def serve(self, connection: socket.socket, same_files: bool) -> None:
        """Answer the request that comes over a connection."""
        self._context.copy().run(self._serve, connection, same_files)

    # A request ------------------------------------------------------------------------------------------------------

    def _serve(self, connection: socket.socket, same_files: bool) -> None:
        try:
            connection.settimeout(_SECONDS_TO_ASK)
            request = read_frame(connection, _LARGEST_REQUEST)
            connection.settimeout(_SECONDS_OF_SILENCE)
            answer = self._answer_or_error(connection, request)
            shown = answer.path if isinstance(answer, Answer) else None
            if isinstance(answer, Answer):
                reply = {"value": answer.value} | ({"path": str(shown)} if shown and same_files else {})
            else:
                reply = {"error": _plain_error(answer)}
            write_frame(connection, reply)
            if shown and not same_files:
                write_tree(connection, str(shown))
        except (ClosedError, OSError):
            pass  # the script is gone, or says nothing
        except ValueError as error:
            with suppress(OSError, ValueError):
                write_frame(connection, {"error": _plain_error(_unreadable(error))})

    def _answer_or_error(self, connection: socket.socket, request: dict[str, Any]) -> Answer | StepwellError:
        token, name, arguments = request.get("token"), request.get("operation"), request.get("arguments")
        if not isinstance(token, str) or not hmac.compare_digest(token.encode(), self.token.encode()) or self._closed:
            return UserErrorException("The host of the run does not know this step", hint="Ask from within the step.")
        if not isinstance(name, str) or not isinstance(arguments, dict):
            return _unreadable("it names no operation and arguments")
        try:
            return self._answer(connection, name, arguments, sends=bool(request.get("sends")))
        except StepwellError as error:
            return error
        except (ClosedError, ConnectionError, TimeoutError):
            raise
        except Exception as error:  # noqa: BLE001  (a script must learn that it waits in vain)
            _log.debug("A request of a step failed", exc_info=True)
            facts = {"asked for": name, "reason": f"{type(error).__name__}: {error}"}
            return StepwellError("The host of the run could not answer", facts, "Run the pipeline again.")

    def _answer(self, connection: socket.socket, name: str, arguments: dict[str, Any], *, sends: bool) -> Answer:
        operation = operation_of(name)
        _check(name, operation.handler, arguments)
        if sends != operation.sends:
            what = "needs a file or folder" if operation.sends else "takes no file"
            raise UserErrorException(f"{name} {what}", hint="Use `channel.send` for what takes a file, else `ask`.")
        if operation.sends:
            sent = Sent(Path(read_tree(connection, str(self._new_folder()), self._room())))
            return operation.handler(self._asker, sent, **arguments)
        if not operation.look:
            return operation.handler(self._asker, **arguments)
        try:
            answer = operation.handler(self._asker, **arguments)
        except StepwellError as error:
            self._note(name, arguments, "" if isinstance(error, ServerException) else value_of_error(error))
            raise
        except BaseException:
            self._note(name, arguments, "")  # nobody knows what it would have been
            raise
        self._note(name, arguments, value_of(answer), answer)
        return answer

    def _note(self, name: str, arguments: dict[str, Any], value: str, answer: Answer | None = None) -> None:
        shown = redacted(arguments, self._host.redactor.redact)
        look, value = look_name(name, shown), value if shown == arguments else ""  # a secret can't be asked again
        with self._lock:
            if (len(self._looks) >= _MOST_LOOKS and look not in self._looks) or len(look) > _LONGEST_LOOK:
                look, value = TOO_MANY, ""
            self._looks.setdefault(look, set()).add(value)
            if answer is not None and answer.path is not None:
                self._handed_out |= {str(answer.path), os.path.realpath(answer.path), *answer.read_in_place}
                if answer.read_in_place:
                    self._in_place.add(look)

    def _trials_of_step(self) -> Trials:
        with self._lock:
            if self._closed:
                raise ClosedError
            if self._trials is None:
                made: Trials = importlib.import_module(_TRIALS).Trials(self._host, self._asker.call)
                self._trials = made
            return self._trials

    def _new_folder(self) -> Path:
        with self._lock:
            if self._closed:
                raise ClosedError
            if self._folder is None:
                self._folder = self._host.store.scratch_folder()
            folder = self._folder / secrets.token_hex(8)
            folder.mkdir()
        return folder

    def _room(self) -> int:
        return max(0, shutil.disk_usage(self._host.store.written).free - _SPARED)


@cache
def _hints(handler: Handler) -> tuple[Mapping[str, Any], frozenset[str]]:
    """Return the types of a handler's arguments, and which of them it needs."""
    hints, parameters = get_type_hints(handler), inspect.signature(handler).parameters.values()
    own = [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    needed = frozenset(parameter.name for parameter in own if parameter.default is parameter.empty)
    return {parameter.name: hints[parameter.name] for parameter in own}, needed


def _check(name: str, handler: Handler, arguments: Mapping[str, Any]) -> None:
    hints, needed = _hints(handler)
    unknown, missing = sorted(set(arguments) - set(hints)), sorted(needed - set(arguments))
    if unknown or missing:
        title = f"{name} has no argument {unknown[0]!r}" if unknown else f"{name} needs its argument {missing[0]!r}"
        raise UserErrorException(title, {"arguments": ", ".join(hints) or "none"}, "Correct the request.")
    for argument, value in arguments.items():
        wrong = mismatch(argument, value, hints[argument])
        if wrong is not None:
            title = f"`{wrong.name}` of {name} must be {wrong.expected}, not {wrong.given}"
            raise UserErrorException(title, hint="Correct the request.")


def _plain_error(error: StepwellError) -> dict[str, Any]:
    return {"class": type(error).__name__, "title": error.title, "facts": error.facts, "hint": error.hint}


def _unreadable(reason: object) -> UserErrorException:
    return UserErrorException("The host of the run can't read a request", {"reason": reason}, "Ask by `channel.ask`.")
