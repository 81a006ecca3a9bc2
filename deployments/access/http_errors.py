"""Errors that become HTTP responses: the status, a code, and the field that is wrong."""

from __future__ import annotations

from stepwell.errors import StepwellError


class HttpError(StepwellError):
    """A call that is answered with an error. `code` names its kind, `wait` is after how many seconds to retry."""

    def __init__(self, status: int, code: str, title: str, hint: str = "", *, wait: float = 0) -> None:
        self.status = status
        self.code = code
        self.wait = wait
        super().__init__(title, hint=hint)

    def __reduce__(self) -> tuple[type[StepwellError], tuple[object, ...]]:
        return HttpError, (self.status, self.code, self.title, self.hint)


class BadRequest(HttpError):
    """A call that can't be accepted, raised before anything was started. `field` is a path such as `Tags.owner`."""

    def __init__(self, status: int, field: str, title: str, hint: str = "") -> None:
        super().__init__(status, "BadRequest", title, hint)
        self.field = field
        self.facts = {"field": field} if field else {}

    def __reduce__(self) -> tuple[type[StepwellError], tuple[object, ...]]:
        return BadRequest, (self.status, self.field, self.title, self.hint)
