"""The auth string of this home's own server: random, readable by its owner alone, and in force without being typed."""

from __future__ import annotations

import re
from pathlib import Path

from stepwell.blocks.system.home import make_key
from stepwell.errors import StepwellError

_USER = "stepwell"
_NAME = "password"


def auth_string(folder: Path) -> str:
    """Return `user:password` as Prefect wants it, kept in the server's folder; the password is made if there is none."""
    path = folder / _NAME
    try:
        return _read(path)
    except FileNotFoundError:
        make_key(path)
    return _read(path)


def _read(path: Path) -> str:
    try:
        password = path.read_text("ascii").strip()
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        hint = "Give yourself the right to read it."
        raise StepwellError(
            "The password of Prefect's server can't be read.", {"file": path, "reason": error}, hint
        ) from None
    if not re.fullmatch("[0-9a-f]{64}", password):
        hint = "Delete it: the server is then started anew, with another one."
        raise StepwellError("The password of Prefect's server is damaged.", {"file": path}, hint)
    return f"{_USER}:{password}"
