"""Stepwell's public names as a script of a step has them: what has a side here works, all others refuse when used."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ROOM = "stepwell.script.workspace"
CARRIERS = {
    "Run": "stepwell.script.run",
    "_OfflineRun": "stepwell.script.run",
    "StepwellError": "stepwell.errors",
}
"""The module that has a name here; of host classes the one that stands for them in a step."""
_refused: dict[str, Any] = {}


def in_step() -> bool:
    """Return whether this process belongs to a step."""
    return bool(os.environ.get("AZUREML_RUN_ID") and os.environ.get("STEPWELL_CONTROL"))


def here() -> bool:
    """Return whether Stepwell's public names are those of this module: in a step, and where it is not installed."""
    return getattr(sys.modules.get("stepwell"), "__getattr__", None) is find


def find(name: str) -> Any:
    """Return what a public name means in a step; raise AttributeError if it is none."""
    if name == "__all__":
        return names()
    module = CARRIERS.get(name)
    if module:
        from importlib import import_module

        return getattr(import_module(module), name)
    if name.startswith("__") or name not in names():
        raise AttributeError(f"module 'stepwell' has no attribute {name!r}")
    return refuse(name)


def refuse(name: str, module: str = "stepwell") -> Any:
    """Return the class that stands for a name that has no side in a step."""
    if name not in _refused:
        from stepwell.script.workspace.refused import refused

        where = "can't be used in a step" if in_step() else "needs Stepwell, which is not installed here"
        _refused[name] = refused(name, where, "Use it where the pipeline is submitted.", module)
    return _refused[name]


def names() -> list[str]:
    """Return all public names of Stepwell, as its stub lists them."""
    found = [name for name in CARRIERS if not name.startswith("_")]
    try:
        with open(f"{__file__.rpartition('/script/')[0]}/__init__.pyi", encoding="utf-8") as stream:
            listed = stream.read().partition("__all__ = [")[2].partition("]")[0]
    except OSError:  # a bundle of another release
        listed = ""
    found += [word.strip(' \n",') for word in listed.split()]
    return sorted({*filter(None, found)})
