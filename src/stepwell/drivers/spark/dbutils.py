"""`dbutils` as Databricks has it, for files of this machine, the workspace's secrets, widgets and other notebooks."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from stepwell.drivers.spark import session
from stepwell.drivers.spark.places import local_path

FileInfo = namedtuple("FileInfo", ["path", "name", "size", "modificationTime"])  # noqa: PYI024  (as Databricks has it)
MountInfo = namedtuple("MountInfo", ["mountPoint", "source", "encryptionType"])  # noqa: PYI024
SecretMetadata = namedtuple("SecretMetadata", ["key"])  # noqa: PYI024
SecretScope = namedtuple("SecretScope", ["name"])  # noqa: PYI024

_HEAD_BYTES = 65536


class NotebookExit(BaseException):
    """`dbutils.notebook.exit(value)`: the notebook ends here, and has succeeded."""

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value


class FileSystem:
    """`dbutils.fs`: files at `dbfs:/`, which a folder stands in for, and at other absolute paths of this machine."""

    def ls(self, path: str) -> list[FileInfo]:
        """Return what a folder holds, or the file itself."""
        place = _place(path)
        if os.path.isfile(place):
            return [_info(path, place)]
        try:
            names = sorted(os.listdir(place))
        except FileNotFoundError:
            raise _missing(path) from None
        return [_info(f"{path.rstrip('/')}/{name}", os.path.join(place, name)) for name in names]

    def cp(self, from_: str, to: str, recurse: bool = False) -> bool:
        """Copy a file, or with `recurse` a folder."""
        source, target = _place(from_), _place(to)
        if os.path.isdir(source):
            if not recurse:
                raise OSError(f"{from_} is a folder: pass recurse=True to copy it")
            shutil.copytree(source, target, dirs_exist_ok=True)
            return True
        if not os.path.exists(source):
            raise _missing(from_)
        if os.path.isdir(target) or to.endswith("/"):
            target = os.path.join(target, os.path.basename(source))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(source, target)
        return True

    def mv(self, from_: str, to: str, recurse: bool = False) -> bool:
        """Move a file, or with `recurse` a folder."""
        self.cp(from_, to, recurse)
        return self.rm(from_, recurse)

    def rm(self, dir: str, recurse: bool = False) -> bool:
        """Remove a file, an empty folder, or with `recurse` any folder; return whether there was one."""
        place = _place(dir)
        if not os.path.lexists(place):
            return False
        if not os.path.isdir(place) or os.path.islink(place):
            os.remove(place)
        elif recurse:
            shutil.rmtree(place)
        else:
            os.rmdir(place)
        return True

    def put(self, file: str, contents: str, overwrite: bool = False) -> bool:
        """Write a text to a file."""
        place = _place(file)
        if os.path.exists(place) and not overwrite:
            raise FileExistsError(f"{file} exists already: pass overwrite=True to write it anew")
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8") as stream:
            print(f"Wrote {stream.write(contents)} characters.")
        return True

    def head(self, file: str, max_bytes: int = _HEAD_BYTES) -> str:
        """Return the begin of a file as text."""
        try:
            with open(_place(file), "rb") as stream:
                return stream.read(max_bytes).decode(errors="replace")
        except FileNotFoundError:
            raise _missing(file) from None

    def mkdirs(self, dir: str) -> bool:
        """Make a folder, and those above it."""
        os.makedirs(_place(dir), exist_ok=True)
        return True

    def mounts(self) -> list[MountInfo]:
        """Return what is mounted at `dbfs:/`: the folder that stands in for it."""
        return [MountInfo("/", f"file:{session.folder()}/dbfs", "")]

    def refreshMounts(self) -> bool:  # noqa: N802  (Databricks' name)
        """Return True: there is nothing to look up again."""
        return True

    def mount(self, source: str, mount_point: str, *_: Any, **__: Any) -> NoReturn:
        """Raise OSError: nothing is mounted here."""
        raise OSError(
            f"{source} can't be mounted here. Give the data to the step as an input, or put them below "
            f"{local_path('dbfs:' + mount_point, session.folder())}."
        )

    updateMount = mount  # noqa: N815

    def unmount(self, mount_point: str) -> bool:
        """Return True: nothing is mounted."""
        return True


def _place(path: str) -> str:
    place = local_path(path, session.folder())
    if os.path.isabs(place):
        return place
    if "://" in path:
        raise OSError(
            f"dbutils.fs has files of this machine only, not {path}. Give them to the step as an input, or read them with spark."
        )
    return local_path("dbfs:/" + path, session.folder())


def _info(path: str, place: str) -> FileInfo:
    is_folder, status = os.path.isdir(place), os.stat(place)
    known = path if path.startswith(("dbfs:", "file:")) else f"file:{place}"
    name = os.path.basename(place) + ("/" if is_folder else "")
    size = 0 if is_folder else status.st_size
    return FileInfo(known + ("/" if is_folder else ""), name, size, int(status.st_mtime * 1000))


def _missing(path: str) -> FileNotFoundError:
    return FileNotFoundError(f"No such file or folder: {path} (here {_place(path)})")


class Widgets:
    """`dbutils.widgets`: values by name; what the step gives wins over a widget's default."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = dict(given)
        self._made: dict[str, str] = {}

    def give(self, values: Mapping[str, str]) -> None:
        """Give values from outside, which win over defaults."""
        self._given.update(values)

    def text(self, name: str, defaultValue: str, label: str | None = None) -> None:  # noqa: N803
        """Make a widget for any text."""
        self._made[name] = str(defaultValue)

    def dropdown(self, name: str, defaultValue: str, choices: Sequence[str], label: str | None = None) -> None:  # noqa: N803
        """Make a widget for one of the choices."""
        self._choose("dropdown", name, [defaultValue], choices)

    def combobox(self, name: str, defaultValue: str, choices: Sequence[str], label: str | None = None) -> None:  # noqa: N803
        """Make a widget for one of the choices, or another text."""
        self._made[name] = str(defaultValue)

    def multiselect(self, name: str, defaultValue: str, choices: Sequence[str], label: str | None = None) -> None:  # noqa: N803
        """Make a widget for some of the choices, whose value has commas between them."""
        self._choose("multiselect", name, str(defaultValue).split(","), choices)

    def get(self, name: str) -> str:
        """Return the value of a widget, or a parameter of the step."""
        if name in self._given:
            return self._given[name]
        if name in self._made:
            return self._made[name]
        known = ", ".join(sorted({*self._made, *(one for one in self._given if not one.startswith("AZUREML_"))}))
        raise ValueError(
            f"InputWidgetNotDefined: there is no widget or parameter {name!r}; there are: {known or 'none'}"
        )

    def getAll(self) -> dict[str, str]:  # noqa: N802
        """Return the values of all widgets and parameters by name."""
        return {**self._made, **self._given}

    def getArgument(self, name: str, defaultValue: str | None = None) -> str:  # noqa: N802, N803
        """Return the value of a widget or parameter, or else the default."""
        return self.get(name) if defaultValue is None or name in self.getAll() else defaultValue

    def remove(self, name: str) -> None:
        """Forget a widget."""
        self._made.pop(name, None)

    def removeAll(self) -> None:  # noqa: N802
        """Forget all widgets."""
        self._made.clear()

    def _choose(self, kind: str, name: str, values: Sequence[str], choices: Sequence[str]) -> None:
        known = [str(choice) for choice in choices]
        for value in map(str, values):
            if value not in known:
                raise ValueError(f"The {kind} widget {name!r} can't be {value!r}: its choices are {', '.join(known)}")
        self._made[name] = ",".join(map(str, values))


class Secrets:
    """`dbutils.secrets`: the workspace's key vault, whatever the scope; what was told is masked in the logs."""

    def get(self, scope: str, key: str) -> str:
        """Return the secret `key`, or else `<scope>-<key>`; a vault has dashes where a key has underscores."""
        from stepwell.errors import StepwellError
        from stepwell.script.run import Run

        run, name = Run.get_context(), key.replace("_", "-")
        try:
            return run.get_secret(name)
        except StepwellError as error:
            try:
                return run.get_secret(f"{scope}-{name}".replace("_", "-"))
            except StepwellError:
                raise error from None

    def getBytes(self, scope: str, key: str) -> bytes:  # noqa: N802
        """Return a secret as bytes."""
        return self.get(scope, key).encode()

    def list(self, scope: str) -> Sequence[SecretMetadata]:
        """Return the names of the workspace's secrets."""
        from stepwell.script import channel

        return [SecretMetadata(name) for name in channel.ask("secret.list")]

    def listScopes(self) -> Sequence[SecretScope]:  # noqa: N802
        """Return the one scope that there is."""
        return [SecretScope("stepwell")]


class Notebook:
    """`dbutils.notebook`: other notebooks, and the end of this one."""

    def __init__(self, run: Callable[[str, Mapping[str, str], float], str | None] | None) -> None:
        self._run = run

    def exit(self, value: object = "") -> NoReturn:
        """End the notebook, with a value for whoever ran it."""
        raise NotebookExit(str(value))

    def run(self, path: str, timeout_seconds: float = 0, arguments: Mapping[str, Any] | None = None) -> str | None:
        """Run another notebook with widgets of its own, in this Spark session, and return the value that it exits with."""
        if self._run is None:
            raise RuntimeError("Only a notebook can run another notebook. Run it in a step with `notebook_path`.")
        return self._run(path, {str(name): str(value) for name, value in (arguments or {}).items()}, timeout_seconds)


class Library:
    """`dbutils.library`: nothing to do here."""

    def restartPython(self) -> None:  # noqa: N802
        """Do nothing: what a step needs is installed before it begins."""


class DBUtils:
    """`dbutils`; a script that makes one, with or without a session, gets that of its step."""

    def __init__(
        self,
        spark: Any = None,
        widgets: Mapping[str, str] | None = None,
        run: Callable[[str, Mapping[str, str], float], str | None] | None = None,
    ) -> None:
        self.fs = FileSystem()
        self.widgets = Widgets(_given if widgets is None else widgets)
        self.secrets = Secrets()
        self.notebook = Notebook(run)
        self.library = Library()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"dbutils.{name} is not there outside of Databricks; there are fs, widgets, secrets, notebook and library"
        )


_given: dict[str, str] = {}


def give(values: Mapping[str, str]) -> DBUtils:
    """Return the step's `dbutils`, whose widgets have these values; those that a script makes have them, too."""
    _given.update(values)
    return DBUtils()


def get_argument(utils: DBUtils) -> Callable[..., str]:
    """Return `getArgument`, which notebooks call by its mere name."""
    return utils.widgets.getArgument
