"""How a step's Pythons are started, and what they are told of the code that people work on, to import its kept copies."""

from __future__ import annotations

import hashlib
import importlib.util
import marshal
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import CodeType

from stepwell.blocks.store.snapshots.snapshot import Snapshot
from stepwell.blocks.system.companions import companions
from stepwell.blocks.system.files import remove
from stepwell.blocks.system.home import make_folder
from stepwell.model.records import StepCall
from stepwell.script import launcher

_CHILDREN = "STEPWELL_CHILDREN"
WITH_CHILDREN = f'export PYTHONPATH="${_CHILDREN}${{PYTHONPATH:+:$PYTHONPATH}}"; '
"""Lets every Python that a shell starts do what the launcher does."""

_STARTED = ("launcher", "watch", "own_code")
"""What each step's Python begins with."""


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
    def own(cls, cache: Path) -> Python:
        """Return the interpreter in use, with the launcher compiled, which is kept below the folder `cache`."""
        package = Path(launcher.__file__).parents[1]
        beside = tuple(str(one.folder) for one in companions())
        return cls(sys.executable, compiled_launcher(cache), str(package.parent), str(package), beside)

    @classmethod
    def other(cls, interpreter: str, bundle: Path) -> Python:
        """Return how another interpreter starts scripts, with the worker bundle at the path where it sees it."""
        return cls(interpreter, str(bundle / "stepwell" / "script" / "launcher.py"), str(bundle), str(bundle))


@lru_cache(maxsize=4)
def compiled_launcher(cache: Path) -> str:
    """Return the launcher, compiled with what it loads beside it, for the interpreter in use; its source if nothing can be kept.

    Python itself keeps no bytecode of a program, and none at all where PYTHONDONTWRITEBYTECODE is set: each step would compile.
    """
    place, header = Path(launcher.__file__).parent, importlib.util.MAGIC_NUMBER + bytes(12)
    sources = {name: (place / f"{name}.py").read_bytes() for name in _STARTED}
    digest = hashlib.sha256(b"\0".join((header, os.fsencode(place), Path(__file__).read_bytes(), *sources.values())))
    target = cache / "launchers" / digest.hexdigest()[:16]
    try:
        if not target.exists():
            make_folder(target.parent)
            draft = Path(tempfile.mkdtemp(prefix=".", dir=target.parent))
            for name, source in sources.items():
                code = marshal.dumps(_compiled(source, str(place / f"{name}.py")))
                (draft / f"{name}.pyc").write_bytes(header + code)
            draft.chmod(0o755)
            try:
                os.rename(draft, target)
            except OSError:  # another process was first
                remove(draft)
    except OSError:
        return launcher.__file__
    return str(target / "launcher.pyc")


def _compiled(source: bytes, path: str) -> CodeType:
    """Return the code of a module, told what it says `from __future__`: the statement itself would import a module."""
    # As text: two threads that make syntax trees at once fail in Python 3.11, and a Dask worker has several.
    text = source.replace(b"\nfrom __future__ import annotations\n", b"\n\n")
    code: CodeType = compile(text, path, "exec", annotations.compiler_flag, dont_inherit=True, optimize=0)
    return code


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
    named = rf"""({"|".join(map(re.escape, users))})((?:/[^"\n:]*)?)(?=", line \d|:\d)"""  # compiled if need be
    made_of = {str(source), os.path.realpath(source)}

    def user_file(found: re.Match[str]) -> str:
        copy, rest = found.groups()
        if copy in made_of and not (snapshot and snapshot.holds(rest.strip("/"))):
            return found[0]
        return f"{users[copy]}{rest}"

    def redact_and_name(text: str) -> str:
        text = redact(text)
        return re.sub(named, user_file, text) if any(copy in text for copy in users) else text

    return redact_and_name
