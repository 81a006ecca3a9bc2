"""What the SDK's modules hold beside classes."""

from __future__ import annotations

VERSION = "1.62.0"
"""The last release of the SDK."""


def set_diagnostics_collection(send_diagnostics: bool = True, verbosity: int | None = None) -> None:
    """Accept the choice: nothing is sent to anybody whatever it is."""
