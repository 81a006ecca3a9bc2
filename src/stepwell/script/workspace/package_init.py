"""Stepwell where it is not installed: what scripts and Dask workers need of it, and no more."""

from __future__ import annotations

from stepwell.script.workspace.public_names import find as __getattr__  # noqa: F401
from stepwell.script.workspace.public_names import names as __dir__  # noqa: F401

__all__: list[str]  # made when it is asked for
