"""`Dataset` as a script of a step has it: datasets found, made and registered through the host, their files read here."""

from __future__ import annotations

from collections.abc import Mapping

from stepwell.errors import UserErrorException
from stepwell.script import channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class _WithFactories(type):
    """Loads what reads files when it is asked for: many scripts import `Dataset` and leave it at that."""

    def __getattr__(cls, name: str) -> Any:
        if name in ("File", "Tabular"):
            from stepwell.script.workspace import dataset_factories

            return getattr(dataset_factories, f"{name}DatasetFactory")
        raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")


class Dataset(metaclass=_WithFactories):
    """Makes datasets, `Dataset.File` and `Dataset.Tabular`, and finds registered ones."""

    @staticmethod
    def get_by_name(workspace: Any, name: str, version: int | str | None = "latest", **kwargs: Any) -> Any:
        """Return a registered dataset, by default its latest version; raise UserErrorException if there is none."""
        wanted = None if version in (None, "latest") else version
        return _made(workspace, channel.ask("dataset.get", name=name, version=wanted))

    @staticmethod
    def get_by_id(workspace: Any, id: str, **kwargs: Any) -> Any:
        """Return the dataset of an id; raise UserErrorException if there is none."""
        return _made(workspace, channel.ask("dataset.get", id=id))

    @staticmethod
    def get_all(workspace: Any) -> Mapping[str, Any]:
        """Return the latest version of each registered dataset, by name."""
        return registered(workspace)

    @staticmethod
    def get(workspace: Any, name: str | None = None, id: str | None = None) -> Any:
        """Return a registered dataset by its name or id."""
        return Dataset.get_by_id(workspace, id) if id else Dataset.get_by_name(workspace, name or "")

    @staticmethod
    def list(workspace: Any) -> list[Any]:
        """Return the latest version of each registered dataset."""
        return [*registered(workspace).values()]


def registered(workspace: Any) -> Mapping[str, Any]:
    """Return the registered datasets of a workspace, each asked for when it is looked at."""
    return _Registered(workspace)


def _made(workspace: Any, facts: dict[str, Any]) -> Any:
    from stepwell.script.workspace.datasets import dataset_of

    return dataset_of(workspace, facts)


class _Registered(Mapping[str, object]):
    def __init__(self, workspace: Any) -> None:
        self._workspace = workspace

    def __getitem__(self, name: str) -> Any:
        try:
            return Dataset.get_by_name(self._workspace, name)
        except UserErrorException:
            if name in list(self):
                raise
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(channel.ask("dataset.list")["datasets"])

    def __len__(self) -> int:
        return len(list(iter(self)))
