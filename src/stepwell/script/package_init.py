"""Stepwell where it is not installed: what scripts and Dask workers need of it, and no more."""

from __future__ import annotations

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Run", "StepwellError"]  # noqa: F822  (made when asked for)


def __getattr__(name: str) -> Any:
    if name == "Run":
        from stepwell.script.run import Run

        return Run
    if name == "StepwellError":
        from stepwell.errors import StepwellError

        return StepwellError
    raise AttributeError(f"{name!r} of Stepwell is not available where Stepwell is not installed")
