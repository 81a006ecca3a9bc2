"""Whether a machine shares its results, as its environment says."""

from __future__ import annotations

import os
from typing import Literal, get_args

from stepwell.errors import UserErrorException

Mode = Literal["on", "read", "off"]
VARIABLE = "STEPWELL_SHARED"


def sharing_mode() -> Mode:
    """Return what STEPWELL_SHARED says of this machine: to share (`on`, by default), to `read` only, or neither (`off`).

    Another word raises UserErrorException.
    """
    given = os.environ.get(VARIABLE, "").strip() or "on"
    if given not in get_args(Mode):
        facts = {"variable": VARIABLE, "value": given}
        raise UserErrorException("Whether results are shared is not clear", facts, "Set it to on, read or off.")
    mode: Mode = given  # type: ignore[assignment]
    return mode
