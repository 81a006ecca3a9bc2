"""Modules made from the table of names when they are imported, and names that refuse when they are used."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from azureml import module_map, names, v1_rules

if TYPE_CHECKING:
    from collections.abc import Sequence


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of the SDK that the table has."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where a module of the table comes from; None for all others."""
        package = fullname in module_map.PACKAGES
        if not fullname.startswith("azureml.") or not (package or fullname in module_map.MODULES):
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=package)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Return the module, whose names are looked up when they are asked for."""
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module as it was made."""


class _Module(ModuleType):
    """A module of the SDK."""

    def __init__(self, name: str) -> None:
        super().__init__(name, f"What the Azure ML SDK v1 has in {name}, carried by Stepwell.")
        self.__all__ = [one for one in module_map.MODULES.get(name, ()) if not one.startswith("_")]

    def __getattr__(self, name: str) -> Any:
        if name in module_map.MODULES.get(self.__name__, ()):
            found = find(name)
            setattr(self, name, found)
            return found
        if f"{self.__name__}.{name}" in module_map.MODULES or f"{self.__name__}.{name}" in module_map.PACKAGES:
            return importlib.import_module(f"{self.__name__}.{name}")
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        raise AttributeError(
            f"{self.__name__} has no {name!r} among the names of the Azure ML SDK v1 that Stepwell knows; see the page "
            "'Names of the Azure ML SDK' of its docs"
        )

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *module_map.MODULES.get(self.__name__, ())})


def find(name: str) -> Any:
    """Return what is behind a name of the SDK: its carrier, or a class that refuses to be used."""
    module, _, attribute = names.NAMES[name].carrier.partition(":")
    if not module:
        return _Refused(name, (), {"__module__": "azureml", "__doc__": f"Not carried by Stepwell: {_instead(name)}."})
    return v1_rules.under(getattr(importlib.import_module(module), attribute), _home_of(name), name)


def _home_of(name: str) -> str:
    """Return the first module of the SDK that has the name."""
    return next(module for module, found in module_map.MODULES.items() if name in found)


class _Refused(type):
    """A name of the SDK that can be imported, and compared with, and nothing else."""

    def __call__(cls, *_: Any, **__: Any) -> NoReturn:
        """Raise `UserErrorException`: nothing carries the name."""
        _refuse(cls.__name__)

    def __getattr__(cls, attribute: str) -> NoReturn:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        _refuse(f"{cls.__name__}.{attribute}", cls.__name__)


def _refuse(what: str, name: str = "") -> NoReturn:
    errors = importlib.import_module("stepwell.errors")
    hint = _instead(name or what)
    raise errors.UserErrorException(
        f"{what} of the Azure ML SDK is not carried by Stepwell", {}, f"{hint[:1].upper()}{hint[1:]}."
    )


def _instead(name: str) -> str:
    return names.NAMES[name].instead
