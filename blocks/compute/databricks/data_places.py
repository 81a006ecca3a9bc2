"""Where a job of a Databricks workspace finds a step's inputs and leaves its outputs: on their datastores, or in its files."""

from __future__ import annotations

import posixpath
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stepwell.blocks.compute.databricks.workspace_files import WorkspaceFiles, files_in
from stepwell.blocks.compute.job import Job
from stepwell.errors import StepwellError

if TYPE_CHECKING:
    from stepwell.blocks.datastores.datastore_files import DatastoreFiles
    from stepwell.blocks.processes.output import OnOutput

_AS_IT_IS = ("s3", "s3a", "gs")


def url_for_spark(url: str, account: str = "") -> str | None:
    """Return the address by which Spark on Databricks opens what fsspec opens by `url`, None if there is none.

    `account` is the storage account of a container, which not every URL names.
    """
    scheme, _, rest = url.partition("://")
    container, slash, path = rest.partition("/")
    if scheme in ("abfs", "abfss", "az"):
        if "@" in container:
            return f"abfss://{container}{slash}{path}"
        return f"abfss://{container}@{account}.dfs.core.windows.net/{path}" if account else None
    if scheme == "dbfs":
        return f"dbfs:/{rest.lstrip('/')}"
    if scheme == "adl":
        host = container if "." in container else f"{container}.azuredatalakestore.net"
        return f"adl://{host}/{path}"
    return url if scheme in _AS_IT_IS else None


class DataPlaces:
    """The places of one job's data. `folder` is the job's own in the workspace's files, which goes when it has ended."""

    def __init__(self, job: Job, files: WorkspaceFiles, folder: str, *, on_datastores: bool) -> None:
        self._job, self._files, self._folder = job, files, folder
        self._shared: dict[str, tuple[DatastoreFiles, str]] = {}
        self.uris: dict[str, str] = {}
        for name, (datastore, path) in job.elsewhere.items() if on_datastores else ():
            root = url_for_spark(datastore.url, datastore.storage_account)
            if root and (name not in job.inputs or self._is_there(name, datastore, path)):
                place = path if name in job.inputs else f"{path}/{posixpath.basename(folder)}/{name}"
                self._shared[name] = (datastore, place)
                self.uris[name] = f"{root.rstrip('/')}/{place}".rstrip("/")
        for name in job.call.inputs:
            self.uris.setdefault(name, f"{folder}/inputs/{name}{self._inside(name)}")
        for port in job.call.definition.outputs:
            self.uris.setdefault(port.name, f"{folder}/outputs/{port.name}")

    @property
    def shown(self) -> dict[str, str]:
        """What the step is told of each: of an input of which it gets one entry alone, the place of that."""
        entries = {port.name: f"/{port.entry}" for port in self._job.call.definition.inputs if port.entry}
        return {name: uri + entries.get(name, "") for name, uri in self.uris.items()}

    def _is_there(self, name: str, datastore: DatastoreFiles, path: str) -> bool:
        """Return whether an input stands on its datastore, of another step's output what was delivered of it."""
        if not self._job.call.inputs[name].kept:
            return True
        here, there = self._job.inputs[name], datastore.listed(path)
        wanted = (
            {name: (here / name).stat().st_size for name in files_in(here)}
            if here.is_dir()
            else {".": here.stat().st_size}
        )
        return {posixpath.relpath(file, path): facts["size"] for file, facts in there.items()} == wanted

    def _inside(self, name: str) -> str:
        """Return where in its folder an input stands: a file has the name that it had, which says how it is packed."""
        if self._job.inputs[name].is_dir():
            return ""
        return "/" + (posixpath.basename(self._job.call.inputs[name].path) or self._job.inputs[name].name)

    def send(self, on_output: OnOutput) -> None:
        """Send the inputs that stand on no datastore that the workspace reaches, and make the folder of such outputs."""
        self._files.make_folder(f"{self._folder}/outputs")
        for name, path in self._job.inputs.items():
            if name in self.uris and name not in self._shared:
                on_output(f"Uploading the input {name} to {self.uris[name]}\n")
                self._files.upload(path, self.uris[name])

    def fetch(self, target: Path, on_output: OnOutput) -> dict[str, Path]:
        """Fetch what the job left of its outputs to the folder `target`, and return where each is, if it was written."""
        found = {}
        for port in self._job.call.definition.outputs:
            name, local = port.name, target / port.name
            if self._fetched(name, local):
                found[name] = local
                on_output(f"Fetched the output {name} from {self.uris[name]}\n")
        return found

    def _fetched(self, name: str, local: Path) -> bool:
        if name not in self._shared:
            return self._files.download(self.uris[name], local)
        datastore, path = self._shared[name]
        files = datastore.listed(path)
        for file in files:
            place = local if file == path else local / posixpath.relpath(file, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            datastore.get_file(file, place)
        return bool(files)

    def remove(self) -> None:
        """Remove what the job left on datastores, as far as that can be done; its own copy is kept by now."""
        for port in self._job.call.definition.outputs:
            if port.name in self._shared:
                datastore, path = self._shared[port.name]
                with suppress(StepwellError):
                    for file in datastore.listed(path):
                        datastore.remote.remove(datastore.locate(file))
