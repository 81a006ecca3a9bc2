"""Where what a script logs goes: the control folder of its step, in the format of `events`, or just the screen."""

from __future__ import annotations

import os

from stepwell.errors import UserErrorException
from stepwell.script.events import CONTEXT, EVENTS, FOLDERS, LONGEST_LINE, masked, read_events
from stepwell.script.metrics import decoded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    from stepwell.model.redaction import Redactor
    from stepwell.script.metrics import Scope

_CHUNK = 1 << 20


class FolderLog:
    """The log of a step: a control folder, shared with whoever else writes to it. What is secret is masked."""

    is_of_step = True

    def __init__(self, control: str) -> None:
        self._control = control
        self._context: dict[str, Any] | None = None
        self._variables = dict(os.environ)  # also those that the script removes later on
        self._earlier: list[str] = []
        self._redactor: Redactor | None = None

    @property
    def context(self) -> dict[str, Any]:
        """What the script may ask for."""
        if self._context is None:
            from json import load

            try:
                with open(os.path.join(self._control, CONTEXT), encoding="utf-8") as stream:
                    self._context = dict(load(stream))
            except FileNotFoundError:
                self._context = {}
        return self._context

    def events(self) -> list[dict[str, Any]]:
        """Return what was logged so far."""
        return read_events(self._control)

    def append(self, event: dict[str, Any]) -> None:
        """Append an event to the log, whole, however many log at once."""
        from json import dumps

        event = self.masked(event)
        # Begins with a line break, lest a torn line before it takes it along.
        line = f"\n{dumps(event, allow_nan=False)}\n".encode("ascii")
        if len(line) > LONGEST_LINE:
            facts = {"bytes": len(line), "limit": LONGEST_LINE}
            raise UserErrorException(f"{event['name']!r} is too large to log", facts)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(os.path.join(self._control, EVENTS), flags, 0o666)
        try:
            while line:
                line = line[os.write(descriptor, line) :]
        finally:
            os.close(descriptor)

    def masked(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return the event without the secrets that this process has, or had, in its environment."""
        known = {**self._variables, **os.environ}
        if self._redactor is None or known != self._variables:
            from stepwell.model.redaction import Redactor, is_secret_name

            self._earlier += [
                text for name, text in self._variables.items() if known[name] != text and is_secret_name(name)
            ]
            declared = [known[name] for name in self.context.get("secret_variables", ()) if name in known]
            self._variables, self._redactor = known, Redactor.of_environment(known, self._earlier, declared)
        return masked(event, self._redactor.redact)

    def place(self, scope: Scope, name: str) -> str:
        """Return the path of a kept file."""
        return os.path.join(self._control, FOLDERS[scope], name)

    def keep(self, scope: Scope, name: str, source: IO[Any], again: bool = False) -> str:
        """Keep what a stream holds as a new file, and return its name: `name`, or if taken and `again` the next."""
        kept, number = name, 0
        while True:
            place = self.place(scope, kept)
            try:
                os.makedirs(os.path.dirname(place), exist_ok=True)
                target = open(place, "xb")  # noqa: SIM115  (closed by _fill)
            except (FileExistsError, NotADirectoryError) as error:
                if not (again and os.path.isfile(place)):
                    hint = "Use another name: kept files are never changed."
                    raise UserErrorException(f"The run has a file {kept!r} already", hint=hint) from error
                number += 1
                stem, ending = os.path.splitext(name)
                kept = f"{stem}_{number}{ending}"
            else:
                _fill(target, source)
                return kept


class ScreenLog:
    """The log of a script run by hand: shows what is logged, remembers it while the process lives, keeps no files."""

    is_of_step = False

    def __init__(self, context: dict[str, Any]) -> None:
        self.context = context
        self._events: list[dict[str, Any]] = []

    def events(self) -> list[dict[str, Any]]:
        """Return what was logged so far."""
        return self._events

    def append(self, event: dict[str, Any]) -> None:
        """Show an event, and remember it; to whom runs the script by hand, nothing is a secret."""
        match event["type"]:
            case "metric" | "image":
                kind = event.get("kind", "image")
                print(f"Attempted to log {kind} metric {event['name']}:\n{decoded(event['value'])}")
            case "file":
                print(f"Attempted to upload file: {event['value']}")
            case "failed":
                print(f"Attempted to record a failure: {event['value']}")
        self._events.append(event)

    def masked(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return the event itself."""
        return event

    def place(self, scope: Scope, name: str) -> str:
        """Return no real path: nothing is kept."""
        return os.devnull

    def keep(self, scope: Scope, name: str, source: IO[Any], again: bool = False) -> str:
        """Return the name; nothing is kept."""
        return name


def _fill(target: IO[bytes], source: IO[Any]) -> None:
    try:
        with target:
            while chunk := source.read(_CHUNK):
                target.write(chunk.encode() if isinstance(chunk, str) else chunk)
    except BaseException:
        os.unlink(target.name)
        raise
