"""Data that are not there: the error that says which, and who asks for them."""

from __future__ import annotations

from typing import Self

from stepwell.errors import DatastoreException
from stepwell.model.definitions import DataSource, InputPort, ParameterSource, StepDefinition


class NoData(DatastoreException):
    """There are no data at a path."""

    @classmethod
    def at(cls, data: DataSource, workspace: str) -> Self:
        """Return the error for a path on a datastore of a workspace."""
        return cls(
            "There is no data at a path that a step reads",
            {"workspace": workspace, "datastore": data.datastore, "path": data.path or "/"},
            "Upload the data first, or correct `path_on_datastore`.",
        )

    def of(self, step: StepDefinition, port: InputPort, data: DataSource) -> NoData:
        """Return the same error, which says who asks for the data."""
        if not isinstance(port.source, ParameterSource):
            return NoData(self.title, {"step": step.id, "input": port.name, **self.facts}, self.hint)
        place = f"{data.path or '/'!r} on datastore {data.datastore!r}"
        title = f"The parameter {port.source.parameter!r} names data that are not there: {place}"
        return NoData(title, {"step": step.id, **self.facts}, "Upload the data first, or correct the path.")
