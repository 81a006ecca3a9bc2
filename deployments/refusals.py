"""What the endpoint refuses, with the HTTP status and the field that is wrong."""

from __future__ import annotations

from stepwell.errors import StepwellError


class BadRequest(StepwellError):
    """A call that can't be accepted, told before anything was started. `field` is a path such as `Tags.owner`."""

    def __init__(self, status: int, field: str, title: str) -> None:
        self.status = status
        self.field = field
        super().__init__(title, {"field": field} if field else {})

    def __reduce__(self) -> tuple[type[BadRequest], tuple[int, str, str]]:
        return BadRequest, (self.status, self.field, self.title)
