"""Names that can be imported, and compared with, and refuse to be used."""

from __future__ import annotations

from stepwell.errors import UserErrorException

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


class Refused(type):
    """A class that nothing carries; `said` of its body is what it tells of itself, `hint` what to do instead."""

    said: str
    hint: str

    def __call__(cls, *_: Any, **__: Any) -> NoReturn:
        """Raise `UserErrorException`: nothing carries the name."""
        cls.refuse(cls.__name__)

    def __getattr__(cls, attribute: str) -> NoReturn:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        cls.refuse(f"{cls.__name__}.{attribute}")

    def refuse(cls, what: str) -> NoReturn:
        """Raise `UserErrorException` for `what` of the class."""
        raise UserErrorException(f"{what} {cls.said}", {}, cls.hint)


def refused(name: str, said: str, hint: str, module: str = "stepwell") -> Any:
    """Return a class of that name that refuses; `said` goes on after the name, `hint` begins with a verb."""
    return Refused(name, (), {"__module__": module, "__doc__": f"{name} {said}.", "said": said, "hint": hint})
