"""How a step's Pythons are started, and what they are told of the code that people work on, to import its kept copies."""

from __future__ import annotations

import marshal
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stepwell.blocks.store.snapshots.snapshot import Snapshot
from stepwell.blocks.system.companions import companions
from stepwell.model.records import StepCall
from stepwell.script import launcher

_CHILDREN = "STEPWELL_CHILDREN"
WITH_CHILDREN = f'export PYTHONPATH="${_CHILDREN}${{PYTHONPATH:+:$PYTHONPATH}}"; '
"""Lets every Python that a shell starts do what the launcher does."""


@dataclass(frozen=True, slots=True)
class Python:
    """How scripts are started: an interpreter, the launcher's file, and the folder with `stepwell` for imports.

    `ours` is the folder that holds nothing but Stepwell: that of the package, or all of the worker bundle. `companions`
    are the folders of packages that go with it and stand elsewhere.
    """

    interpreter: str
    launcher: str
    module_path: str
    ours: str
    companions: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        """The folders that imports look through last."""
        return list(dict.fromkeys([self.module_path, *map(os.path.dirname, self.companions)]))

    @classmethod
    def own(cls) -> Python:
        """Return the interpreter in use, with the compiled launcher, which starts some milliseconds sooner."""
        package = Path(launcher.__file__).parents[1]
        compiled = str(getattr(launcher, "__cached__", ""))
        started = launcher.__file__
        with suppress(OSError):
            if os.stat(compiled).st_mtime >= os.stat(launcher.__file__).st_mtime:
                started = compiled
        beside = tuple(str(one.folder) for one in companions())
        return cls(sys.executable, started, str(package.parent), str(package), beside)

    @classmethod
    def other(cls, interpreter: str, bundle: Path) -> Python:
        """Return how another interpreter starts scripts, with the worker bundle at the path where it sees it."""
        return cls(interpreter, str(bundle / "stepwell" / "script" / "launcher.py"), str(bundle), str(bundle))


@dataclass(frozen=True, slots=True)
class OwnCode:
    """What `script.own_code` is told: places where people work, each with its copy, and copies of modules by name.

    `notes`: where packages are noted. `paths`: where Stepwell stands, which is looked through last.
    """

    pairs: list[list[str]]
    modules: dict[str, str]
    notes: str
    paths: list[str]

    @classmethod
    def of(
        cls, call: StepCall, copies: Mapping[str, Path], source: Path, notes: Path, paths: Iterable[str] = ()
    ) -> OwnCode:
        """Return what is told of a call: `copies` of places outside of its `source`, and where to note packages."""
        directory, modules = call.definition.source_directory, dict[str, str]()
        pairs = [[place, str(copy)] for place, copy in copies.items()]
        if directory:
            pairs.append([directory, str(source)])
        for module in call.own_code:
            found = (copy + module.place[len(place) :] for place, copy in pairs if _leads_to(place, module.place))
            modules.setdefault(module.name, next(found, module.place))
        return cls(pairs, modules, str(notes), list(paths))

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
        told = self.told(variables, package)
        children = told.pop(_CHILDREN)
        return {**told, "PYTHONPATH": os.pathsep.join(filter(None, [children, variables.get("PYTHONPATH", "")]))}

    def told(self, variables: dict[str, str], package: str) -> dict[str, str]:
        """Return the variables for a shell that begins with `WITH_CHILDREN`, where PYTHONPATH is not known here."""
        facts = marshal.dumps((self.pairs, self.modules, self.notes, self.paths), 2).hex()
        return {**variables, "STEPWELL_OWN_CODE": facts, _CHILDREN: os.path.join(package, "script", "children")}


def _leads_to(place: str, path: str) -> bool:
    return path == place or path.startswith(place + "/")


def naming_user_files(
    redact: Callable[[str], str], call: StepCall, source: Path, snapshot: Snapshot | None, copies: Mapping[str, Path]
) -> Callable[[str], str]:
    """Return `redact`, which also names the user's files in tracebacks and warnings, where the process names its copies.

    `source` is the copy of the snapshot, `copies` are those of modules, at the paths that the process sees. What a script has
    made there is no file of the user's.
    """
    users = {os.path.realpath(copy): place for place, copy in copies.items()}
    if call.definition.source_directory and snapshot is not None:
        users[os.path.realpath(source)] = call.definition.source_directory
    users |= {
        str(copy): users[os.path.realpath(copy)]
        for copy in (source, *copies.values())
        if os.path.realpath(copy) in users
    }
    if not users:
        return redact
    named = re.compile(rf"""({"|".join(map(re.escape, users))})((?:/[^"\n:]*)?)(?=", line \d|:\d)""")
    made_of = {str(source), os.path.realpath(source)}

    def user_file(found: re.Match[str]) -> str:
        copy, rest = found.groups()
        if copy in made_of and not (snapshot and snapshot.holds(rest.strip("/"))):
            return found[0]
        return f"{users[copy]}{rest}"

    def redact_and_name(text: str) -> str:
        text = redact(text)
        return named.sub(user_file, text) if any(copy in text for copy in users) else text

    return redact_and_name
