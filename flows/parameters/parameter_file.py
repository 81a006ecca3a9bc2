"""`ParameterFile`: a file such as `params.yaml`, whose keys are pipeline parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from stepwell.blocks.arguments.callers import folder_of_caller
from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.flows.parameters.file_keys import at, leaves
from stepwell.flows.parameters.parameter_files import plain, read_values, split_target
from stepwell.flows.parameters.pipeline_parameter import PipelineParameter
from stepwell.model.definitions import ParameterDefinition, ParameterKeys
from stepwell.model.redaction import is_secret_name

USUAL = "params.yaml"


class KeyParameter(PipelineParameter):
    """A pipeline parameter that is the key of a file, and is called so."""

    _NAME = re.compile(r"[^\W\d_][\w-]*(\.\w[\w-]*)*")

    def __init__(self, name: str, default_value: Any, file: ParameterFile) -> None:
        is_text = isinstance(default_value, str)  # numbers of such names, as `max_tokens`, only count something
        secret = None if is_text and is_secret_name(name.rpartition(".")[2]) else False
        super().__init__(name, default_value, secret=secret)
        self.file = file


@checked
class ParameterFile:
    """A file of names and values, YAML, JSON or TOML, such as `params.yaml`: its keys are pipeline parameters.

    `ParameterFile()["train.rate"]` is a `PipelineParameter` called `train.rate`, whose default is what the file holds, for
    a step's `arguments` or `params`; `stepwell run -p train.rate=0.3` gives another value. A script that reads the file
    itself names its keys in the step's `params`: `params=["train"]`. The step's result depends on the values of these keys
    alone, and the file that the script finds holds nothing else.

    Args:
        path: The file. Relative, it is looked for beside the file that makes the object, then in the current directory.

    Attributes:
        path: The file's absolute path.
        names: The names of all keys that have a value: `train.rate`, never `train`.

    Raises:
        UserErrorException: There is no such file, or it holds no names and values.
    """

    def __init__(self, path: str | PurePath = USUAL) -> None:
        wanted = Path(path).expanduser()
        folders = dict.fromkeys(folder for folder in (folder_of_caller(), Path.cwd()) if folder)
        found = next((folder / wanted for folder in folders if (folder / wanted).is_file()), None)
        if found is None:
            looked = [str(wanted)] if wanted.is_absolute() else [str(folder / wanted) for folder in folders]
            raise UserErrorException(
                f"There is no file of parameters {wanted.name!r}",
                {"looked for at": ", ".join(looked)},
                "Write it, or correct the path.",
            )
        self.path = found.absolute()
        self._section = ""
        self.names = tuple(name for name, _ in leaves(self._data))

    @cached_property
    def _data(self) -> Any:
        found = read_values(self.path)
        if not (found is None or (isinstance(found, dict) and all(isinstance(key, str) for key in found))):
            raise UserErrorException(
                f"{self.path} holds no names and values", hint="Write `rate: 20`, a line for each."
            )
        return found or {}

    def __getitem__(self, key: str) -> PipelineParameter:
        """Return the parameter that a key is.

        Args:
            key: The key, with those above it: `train.rate`.

        Returns:
            The parameter; two of one key are the same one.

        Raises:
            UserErrorException: There is no such key, it is that of a section, or its value can be no parameter's.
        """
        value = at(self._data, key, self.path)
        if not key or any(name != key for name, _ in leaves(value, key)):
            raise UserErrorException(
                f"{key!r} is a section of {self.path.name}, with several values",
                {"keys": ", ".join(name for name, _ in leaves(value, key))},
                f"Name one of its keys; or, for a script that reads the file itself, pass `params=[{key!r}]`.",
            )
        found = parameter_of_key(self, key, value)
        if found is None:
            raise UserErrorException(
                f"What {self.path.name} has as {key!r} can be no parameter",
                {"value": repr(value)[:200], "types": "int, float, bool, str, a list of these"},
                f"Pass `params=[{key!r}]`, and let the script read the file itself.",
            )
        return found

    def __repr__(self) -> str:
        return f"ParameterFile({str(self.path)!r})"


def parameter_of_key(file: ParameterFile, key: str, value: Any) -> KeyParameter | None:
    """Return the parameter that a key is, None if its value can be no parameter's."""
    try:
        return KeyParameter(key, [plain(v) for v in value] if isinstance(value, list) else plain(value), file)
    except UserErrorException:
        return None


# What steps name in `params` --------------------------------------------------------------------------------------------


class NamedKeys(NamedTuple):
    """Keys of a file that a script reads itself."""

    file: ParameterFile
    keys: tuple[str, ...]

    def parameters(self) -> Iterator[ParameterDefinition]:
        """Yield the parameters that the keys are; raise UserErrorException for a missing key, and for a secret."""
        for key in self.keys:
            data = self.file._data  # noqa: SLF001
            for name, value in leaves(at(data, key, self.file.path), key):
                found = parameter_of_key(self.file, name, value)
                if found is not None and found.definition.secret:
                    raise UserErrorException(
                        f"{name!r} in {self.file.path} sounds secret, and files of a source directory are no place for secrets",
                        hint="Leave it out, and pass a PipelineParameter in `params`, which the script reads as a variable.",
                    )
                if found is not None:
                    yield found.definition

    def below(self, folder: Path, step: str) -> ParameterKeys:
        """Return the keys and the file's path in a source directory; raise UserErrorException if it is not in that."""
        for path, base in ((self.file.path, folder.absolute()), (self.file.path.resolve(), folder.resolve())):
            if path.is_relative_to(base):
                return ParameterKeys(path.relative_to(base).as_posix(), self.keys)
        raise UserErrorException(
            f"The step {step!r} names keys of a file that its script can't read: it is not in the source directory",
            {"file": self.file.path, "source directory": folder},
            "Move the file there, or pass values among the arguments: `ParameterFile(…)['train.rate']`.",
        )


def named_keys(items: Iterable[Any], folder: Path) -> tuple[NamedKeys, ...]:
    """Return the keys that items of `params` name, by file: `train.rate`, `config.toml:train`, a ParameterFile or key of it.

    Texts name files in this folder.
    """
    found: dict[Path, tuple[ParameterFile, list[str]]] = {}
    for item in items:
        file, key = _named(item, folder, found)
        found.setdefault(file.path, (file, []))[1].append(key)
    return tuple(NamedKeys(file, tuple(dict.fromkeys(keys))) for file, keys in found.values())


def _named(
    item: Any, folder: Path, known: Mapping[Path, tuple[ParameterFile, Sequence[str]]]
) -> tuple[ParameterFile, str]:
    if isinstance(item, ParameterFile):
        return item, ""
    if isinstance(item, KeyParameter):
        return item.file, item.name
    if not isinstance(item, str) or not item.strip():
        raise UserErrorException(
            "`params` names a key that is none",
            {"value": "***" if isinstance(item, PipelineParameter) else repr(item)[:200]},
            "Write keys of params.yaml, such as ['train.rate']; or a mapping of names to values: {'rate': rate}.",
        )
    path, key = split_target(item) if ":" in item else (Path(USUAL), item)
    place = (folder / path).absolute()
    return (known[place][0] if place in known else ParameterFile(place)), key
