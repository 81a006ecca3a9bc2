"""What a step's job takes from the Databricks workspace itself: digests of it, without which an old result would be reused."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from stepwell.blocks.compute.databricks.connection import Address, told
from stepwell.blocks.compute.databricks.job_settings import JAR, NOTEBOOK, JobSettings
from stepwell.blocks.compute.databricks.workspace_files import DBFS, VOLUMES, WorkspaceFiles
from stepwell.errors import ComputeTargetException
from stepwell.model.digests import bytes_digest
from stepwell.model.fingerprint import CONTENT

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

    from stepwell.model.definitions import StepDefinition


class Taken(NamedTuple):
    """Something of the workspace, by what it is and its path."""

    kind: Literal["notebook", "script", "library"]
    path: str


def taken_by(step: StepDefinition) -> list[Taken]:
    """Return what the step's job takes from the workspace, as far as its content can be told."""
    ports = dict.fromkeys([*(port.name for port in step.inputs), *(port.name for port in step.outputs)], "")
    return list(_taken(JobSettings.of(step, {p.name: "" for p in step.parameters}, ports, {}), step.script is not None))


def _taken(settings: JobSettings, is_here: bool) -> Iterator[Taken]:
    if settings.driver == NOTEBOOK and not is_here:
        yield Taken("notebook", settings.told["notebook_path"])
    script = settings.told.get("python_script_path", "")
    if settings.driver not in (NOTEBOOK, JAR) and not is_here and script.startswith((DBFS, VOLUMES)):
        yield Taken("script", script)
    for library in settings.libraries:
        for kind in ("jar", "egg", "whl"):
            if str(library.get(kind, "")).startswith((DBFS, VOLUMES)):
                yield Taken("library", str(library[kind]))


def contents(address: Address, client: WorkspaceClient, taken: Iterable[Taken]) -> dict[str, str]:
    """Return the digest of each, by its path; of a library, which may be large, that of its size and when it was written.

    Raise ComputeTargetException if one is not there.
    """
    files = WorkspaceFiles(client)

    def content(what: Taken) -> bytes | None:
        if what.kind == "notebook":
            return base64.b64decode(client.workspace.export(what.path).content or "")
        return files.read(what.path) if what.kind == "script" else files.state(what.path).encode() or None

    found = {}
    for what in taken:
        with told(address, f"read the {what.kind} {what.path!r}", f"{what.kind} {what.path!r}"):
            data = content(what)
        if data is None:
            title = f"The Databricks workspace of {address.target!r} has no {what.kind} {what.path!r}"
            raise ComputeTargetException(title, {"host": address.host}, "Correct its name.")
        found[what.path] = CONTENT + bytes_digest(data)
    return found
