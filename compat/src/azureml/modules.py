"""Modules made from the table of names when they are imported, and names that refuse when they are used."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from azureml import module_map, names, v1_rules

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from typing import Any

_Spec = type(names.__spec__)
_IN_STEPS = ("azureml", "stepwell.errors", "stepwell.script", "stepwell.model")
"""Where carriers stand that a step has, beside those that stand for public names."""


class Finder:
    """Finds the modules of the SDK that the table has."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module of the table comes from; None for all others."""
        package = fullname in module_map.PACKAGES
        if not (package or fullname in module_map.MODULES):
            return None
        return _Spec(fullname, self, is_package=package)  # type: ignore[arg-type, misc]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
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
            return import_module(f"{self.__name__}.{name}")
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        raise AttributeError(
            f"{self.__name__} has no {name!r} among the names of the Azure ML SDK v1 that Stepwell knows; see the page "
            "'Names of the Azure ML SDK' of its docs"
        )

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *module_map.MODULES.get(self.__name__, ())})


def find(name: str) -> Any:
    """Return what is behind a name of the SDK: its carrier, in a step that side of it, or a class that refuses to be used."""
    module, _, attribute = names.NAMES[name].carrier.partition(":")
    if not module:
        return _refused(name)
    from stepwell.script.workspace import public_names

    if public_names.here():
        if not has_side_in_steps(name):
            return public_names.refuse(name, "azureml")
        if attribute in public_names.CARRIERS and not module.startswith("azureml"):
            return public_names.find(attribute)
        return getattr(import_module(module), attribute)
    return v1_rules.under(getattr(import_module(module), attribute), _home_of(name), name)


def has_side_in_steps(name: str) -> bool:
    """Return whether a script of a step can use the name, not only import it."""
    from stepwell.script.workspace import public_names

    module, _, attribute = names.NAMES[name].carrier.partition(":")
    return bool(module) and (attribute in public_names.CARRIERS or module.startswith(_IN_STEPS))


def _home_of(name: str) -> str:
    """Return the first module of the SDK that has the name."""
    return next(module for module, found in module_map.MODULES.items() if name in found)


def _refused(name: str) -> Any:
    from stepwell.script.workspace.public_names import refused

    instead = names.NAMES[name].instead
    said = "of the Azure ML SDK is not carried by Stepwell"
    return refused(name, said, f"{instead[:1].upper()}{instead[1:]}.", "azureml")
