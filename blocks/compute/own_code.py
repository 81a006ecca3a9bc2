"""What a step's Pythons are told of the code that people work on, so that they import its kept copies."""

from __future__ import annotations

import marshal
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stepwell.model.records import StepCall


@dataclass(frozen=True, slots=True)
class OwnCode:
    """What `script.own_code` is told: places where people work, each with its copy, and copies of modules by name."""

    pairs: list[list[str]]
    modules: dict[str, str]
    notes: str

    @classmethod
    def of(cls, call: StepCall, copies: Mapping[str, Path], source: Path, notes: Path) -> OwnCode:
        """Return what is told of a call: `copies` of places outside of its `source`, and where to note packages."""
        directory, modules = call.definition.source_directory, dict[str, str]()
        pairs = [[place, str(copy)] for place, copy in copies.items()]
        if directory:
            pairs.append([directory, str(source)])
        for module in call.own_code:
            found = (copy + module.place[len(place) :] for place, copy in pairs if _leads_to(place, module.place))
            modules.setdefault(module.name, next(found, module.place))
        return cls(pairs, modules, str(notes))

    def moved(self, variables: dict[str, str]) -> dict[str, str]:
        """Return the variables, PYTHONPATH with copies for the places."""
        if not variables.get("PYTHONPATH"):
            return variables
        folders = map(self._copy_of, variables["PYTHONPATH"].split(os.pathsep))
        return {**variables, "PYTHONPATH": os.pathsep.join(folders)}

    def _copy_of(self, folder: str) -> str:
        for place, copy in self.pairs:
            there = copy + folder.rstrip("/")[len(place) :]
            if _leads_to(place, folder.rstrip("/")) and os.path.exists(there):
                return there
        return folder

    def started(self, variables: dict[str, str], package: str) -> dict[str, str]:
        """Return the variables with which every Python does what the launcher does; `package` is the step's Stepwell."""
        children = os.path.join(package, "script", "children")
        return {
            **variables,
            "STEPWELL_OWN_CODE": marshal.dumps((self.pairs, self.modules, self.notes), 2).hex(),
            "PYTHONPATH": os.pathsep.join(filter(None, [children, variables.get("PYTHONPATH", "")])),
        }


def _leads_to(place: str, path: str) -> bool:
    return path == place or path.startswith(place + "/")
