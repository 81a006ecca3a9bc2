"""Datasets of the workspace as a script of a step has them: the host finds their files and hands them over."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any, NoReturn

from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition
from stepwell.model.datasets.file_names import LocalFile, files_below
from stepwell.script import channel
from stepwell.script.tables import local_dataset

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

_places: dict[str, str] = {}
"""Where files are that the host has handed over, by the dataset's definition."""


def dataset_of(workspace: Any, facts: Mapping[str, Any]) -> FileDataset | TabularDataset:
    """Return the dataset that the host tells of."""
    found: FileDataset | TabularDataset = made(workspace, DatasetDefinition.from_json(facts["definition"]), facts)
    return found


def made(workspace: Any, definition: DatasetDefinition, facts: Mapping[str, Any] | None = None) -> Any:
    """Return a dataset of the workspace by its definition; `facts` are those of its registration."""
    kind = TabularDataset if definition.kind == "tabular" else FileDataset
    return kind(definition, "", facts or {}, workspace)


class _OfWorkspace(local_dataset._LocalDataset):  # noqa: SLF001  (of this room's kind)
    """What datasets of files and of tables have in common."""

    def __init__(
        self,
        definition: DatasetDefinition,
        path: str = "",
        facts: Mapping[str, Any] | None = None,
        workspace: Any = None,
    ) -> None:
        super().__init__(definition, path, dict(facts or {}))
        self._workspace = workspace
        self._seen: dict[str, Any] | None = None

    def _like(self, definition: DatasetDefinition) -> Self:
        return type(self)(definition, "", {}, self._workspace)

    @property
    def workspace(self) -> Any:
        """The workspace of its files."""
        return self._workspace

    @property
    def description(self) -> str | None:
        """What was said of it when it was registered."""
        return self._facts.get("description") or None

    @property
    def tags(self) -> dict[str, str]:
        """What it is marked with."""
        return dict(self._facts.get("tags") or {})

    # Its files ------------------------------------------------------------------------------------------------------

    @property
    def _asked(self) -> dict[str, Any]:
        """What the host is asked for: the files, not what is done with the rows in them."""
        plain = self._definition
        if plain.kind == "tabular":
            plain = replace(plain, operations=())
        return {"definition": plain.to_json(), "name": self.name}

    @property
    def _look(self) -> dict[str, Any]:
        if self._seen is None:
            self._seen = dict(channel.ask("dataset.look", **self._asked))
        return self._seen

    def _local_files(self) -> list[LocalFile]:
        self._definition = replace(self._definition, root=self._look["root"])
        asked = json.dumps(self._asked["definition"], sort_keys=True)
        if asked not in _places:
            _places[asked] = channel.receive("dataset.files", **self._asked)
        top = _places[asked]
        names = self._look["names"]
        there = {file.name: file for file in files_below(self._definition, top)}
        if os.path.isfile(top) and len(names) == 1:
            return [LocalFile(names[0], top)]
        return [there[name] for name in names if name in there]

    # Registration ---------------------------------------------------------------------------------------------------

    def register(
        self,
        workspace: Any,
        name: str,
        description: str | None = None,
        tags: Mapping[str, Any] | None = None,
        create_new_version: bool = False,
    ) -> Self:
        """Save the definition under a name; of a name that is taken, `create_new_version` makes the next version."""
        facts = channel.ask(
            "dataset.register",
            name=name,
            definition=replace(self._definition, root=None).to_json(),
            description=description,
            tags=_texts(tags),
            create_new_version=create_new_version,
        )
        return type(self)(self._definition, "", facts, workspace)

    def add_tags(self, tags: Mapping[str, Any] | None = None) -> Self:
        """Mark the version."""
        return self.update(tags={**self.tags, **(tags or {})})

    def remove_tags(self, tags: Sequence[str] | None = None) -> Self:
        """Take marks from the version."""
        return self.update(tags={name: value for name, value in self.tags.items() if name not in (tags or ())})

    def update(self, description: str | None = None, tags: Mapping[str, Any] | None = None) -> Self:
        """Change what was said of the version."""
        if not self.name:
            raise UserErrorException(
                "The dataset is not registered", hint="Register it: `dataset = dataset.register(workspace, name)`."
            )
        self._facts = channel.ask(
            "dataset.update", name=self.name, version=self.version, description=description, tags=_texts(tags)
        )
        return self

    def unregister_all_versions(self) -> NoReturn:
        """Raise UserErrorException: steps take nothing away."""
        raise _can_not("unregister datasets")

    def as_named_input(self, name: str) -> NoReturn:
        """Raise UserErrorException: inputs are those of steps that are to be submitted."""
        raise _can_not("make inputs of other steps")

    def partition_by(self, *_: object, **__: object) -> NoReturn:
        """Raise UserErrorException: only the host writes partitions."""
        raise _can_not("partition datasets")


class FileDataset(_OfWorkspace, local_dataset.FileDataset):
    """Files of the workspace."""

    def to_path(self) -> list[str]:
        """Return the names of its files, each with a leading '/'."""
        return [f"/{name}" for name in self._look["names"]]


class TabularDataset(_OfWorkspace, local_dataset.TabularDataset):
    """A table of the workspace; nothing is read until it is asked for."""

    def to_csv_files(self, separator: str = ",") -> FileDataset:
        """Return the table as files of delimited text, which are written when they are asked for."""
        return FileDataset(self._files("csv", separator=separator), "", {}, self._workspace)

    def to_parquet_files(self) -> FileDataset:
        """Return the table as Parquet files, which are written when they are asked for."""
        return FileDataset(self._files("parquet"), "", {}, self._workspace)


def _texts(marks: Mapping[str, Any] | None) -> dict[str, str] | None:
    return None if marks is None else {str(name): str(value) for name, value in marks.items()}


def _can_not(what: str) -> UserErrorException:
    return UserErrorException(f"A step can't {what}", hint="Do it where the pipeline is submitted.")
