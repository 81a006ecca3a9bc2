"""Data that are not there: the error that says which, and who asks for them."""

from __future__ import annotations

import os
from typing import Self

from stepwell.blocks.datastores.datastore_files import DatastoreFiles
from stepwell.errors import DatastoreException
from stepwell.model.definitions import THIS_MACHINE, DataSource, InputPort, ParameterSource, StepDefinition


class NoData(DatastoreException):
    """There are no data at a path."""

    @classmethod
    def at(cls, data: DataSource, workspace: str, datastore: DatastoreFiles) -> Self:
        """Return the error for a path on a datastore of a workspace."""
        if data.datastore == THIS_MACHINE:
            here = {"path": f"/{data.path}", "machine": os.uname().nodename}
            hint = "Correct the path of the LocalData. For runs on other machines, put the data on a datastore that they reach."
            return cls("There is no data at a path that a step reads", here, hint)
        facts = {"workspace": workspace, "datastore": data.datastore, "path": data.path or "/"}
        told = datastore.told_missing(facts, "Upload the data first, or correct `path_on_datastore`.")
        return cls("There is no data at a path that a step reads", *told)

    def of(self, step: StepDefinition, port: InputPort, data: DataSource) -> NoData:
        """Return the same error, which says who asks for the data."""
        if not isinstance(port.source, ParameterSource):
            return NoData(self.title, {"step": step.id, "input": port.name, **self.facts}, self.hint)
        place = f"{data.path or '/'!r} on datastore {data.datastore!r}"
        title = f"The parameter {port.source.parameter!r} names data that are not there: {place}"
        return NoData(title, {"step": step.id, **self.facts}, self.hint.replace("`path_on_datastore`", "the path"))
