"""Time zones by the names that v1 has them: those of Windows, known to the rest of the world by cities."""

from __future__ import annotations

import re
from enum import Enum, EnumMeta, StrEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tzlocal.windows_tz import win_tz

from stepwell.errors import UserErrorException

if TYPE_CHECKING:

    class _Zones(EnumMeta):
        def __getattr__(cls, name: str) -> TimeZone: ...

    class TimeZone(StrEnum, metaclass=_Zones):
        """v1's enumeration: `TimeZone.CentralEuropeanStandardTime` and its like."""
else:

    class _Named(StrEnum):
        """A zone whose value is its name on Windows."""

    TimeZone = _Named("TimeZone", {re.sub(r"\W", "", name): name for name in sorted(win_tz)})
    """v1's enumeration: `TimeZone.CentralEuropeanStandardTime` and its like."""


def zone_name(name: str | Enum | None) -> str:
    """Return the IANA name (`Europe/Warsaw`) of a zone given by that or by its name on Windows; `UTC` for None."""
    wanted = str(name.value if isinstance(name, Enum) else name or "UTC")
    found = "UTC" if wanted == "UTC" else win_tz.get(wanted, wanted)
    try:
        ZoneInfo(found)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UserErrorException(
            f"There is no time zone {wanted!r}", hint="Use a member of TimeZone, or a name such as Europe/Warsaw."
        ) from None
    return str(found)
