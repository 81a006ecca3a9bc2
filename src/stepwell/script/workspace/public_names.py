"""Stepwell's public names as a script of a step has them: what has a side here works, all others refuse when used."""

from __future__ import annotations

import os
import sys

from stepwell.errors import ComputeTargetException, StepwellError, UserErrorException

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_ROOM = "stepwell.script.workspace"
CARRIERS = {
    "Run": "stepwell.script.run",
    "_OfflineRun": "stepwell.script.run",
    "_ChildRun": "stepwell.script.submitting.child_run",
    "StepwellError": "stepwell.errors",
    "Workspace": f"{_ROOM}.workspace",
    "Keyvault": f"{_ROOM}.keyvault",
    "InteractiveLoginAuthentication": "stepwell.script.submitting.authentication",
    "AzureCliAuthentication": "stepwell.script.submitting.authentication",
    "ServicePrincipalAuthentication": "stepwell.script.submitting.authentication",
    "MsiAuthentication": "stepwell.script.submitting.authentication",
    "TokenAuthentication": "stepwell.script.submitting.authentication",
    "Experiment": f"{_ROOM}.experiment",
    "Environment": f"{_ROOM}.environment",
    "ScriptRunConfig": "stepwell.script.submitting.script_run_config",
    "RunConfiguration": "stepwell.script.submitting.script_run_config",
    "StepRun": f"{_ROOM}.step_run",
    "PipelineRun": f"{_ROOM}.step_run",
    "Model": f"{_ROOM}.model",
    "Datastore": f"{_ROOM}.datastore",
    "DataPath": f"{_ROOM}.datastore",
    "DataReference": f"{_ROOM}.datastore",
    "Dataset": f"{_ROOM}.dataset",
    "FileDatasetFactory": f"{_ROOM}.dataset_factories",
    "TabularDatasetFactory": f"{_ROOM}.dataset_factories",
    "FileDataset": "stepwell.script.tables.local_dataset",
    "TabularDataset": "stepwell.script.tables.local_dataset",
    "DataType": "stepwell.script.tables.reading_options",
    "FileEncoding": "stepwell.script.tables.reading_options",
    "PromoteHeadersBehavior": "stepwell.script.tables.reading_options",
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
        where = "can't be used in a step" if in_step() else "needs Stepwell, which is not installed here"
        hint = "Use it where the pipeline is submitted."
        error: type[StepwellError] = UserErrorException
        if name.endswith(("Compute", "ComputeTarget")) and in_step():
            where, error = "is AuthenticationFailed: a step can't manage compute targets", ComputeTargetException
        _refused[name] = refused(name, where, hint, module, error)
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


class Refused(type):
    """A class that nothing carries; `said` is what it tells of itself, `hint` what to do instead."""

    said: str
    hint: str
    error: type[StepwellError]

    def __call__(cls, *_: Any, **__: Any) -> NoReturn:
        """Raise its error: nothing carries the name."""
        cls.refuse(cls.__name__)

    def __getattr__(cls, attribute: str) -> NoReturn:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        cls.refuse(f"{cls.__name__}.{attribute}")

    def refuse(cls, what: str) -> NoReturn:
        """Raise the class's error for `what` of it."""
        raise cls.error(f"{what} {cls.said}", {}, cls.hint)


def refused(
    name: str, said: str, hint: str, module: str = "stepwell", error: type[StepwellError] = UserErrorException
) -> Any:
    """Return a class of that name that refuses; `said` goes on after the name, `hint` begins with a verb."""
    own = {"__module__": module, "__doc__": f"{name} {said}.", "said": said, "hint": hint, "error": error}
    return Refused(name, (), own)


class Narrow:
    """What a step has of a host's class: less, and what it lacks is said."""

    def __getattr__(self, name: str) -> Any:
        kind = type(self).__name__
        if name.startswith("_"):
            raise AttributeError(f"{kind!r} object has no attribute {name!r}")
        raise AttributeError(f"{kind} has no {name!r} in a step; use it where the pipeline is submitted")
