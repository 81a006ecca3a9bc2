"""Whose code called the library."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_OURS = __name__.partition(".")[0]


def folder_of_caller() -> Path | None:
    """Return the folder of the file whose code called the library, None if that is no file: in a notebook, for one."""
    frame = sys._getframe(1)  # noqa: SLF001  (as the standard library does, at a thousandth of `inspect`'s cost)
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == _OURS:
        frame = frame.f_back  # type: ignore[assignment]
    path = os.path.abspath(frame.f_code.co_filename) if frame is not None else ""
    return Path(path).parent if os.path.isfile(path) else None
