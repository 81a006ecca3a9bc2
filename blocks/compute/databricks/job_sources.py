"""What a job of a Databricks workspace runs, sent there: a script with its folder and launcher, or notebooks."""

from __future__ import annotations

import base64
import io
import json
import os
import posixpath
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepwell.blocks.compute.databricks import remote_script
from stepwell.blocks.compute.databricks.job_settings import JAR, NOTEBOOK, JobSettings
from stepwell.blocks.compute.databricks.workspace_files import WorkspaceFiles
from stepwell.blocks.compute.job import Job, parameter_variable
from stepwell.blocks.compute.worker_bundle import bundle_archive

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

_BOOTSTRAP = "stepwell_script.py"


@dataclass(frozen=True)
class JobSources:
    """The sources of a job, which go to `folder` of the workspace's files, notebooks to the folder `notebooks`."""

    job: Job
    client: WorkspaceClient
    files: WorkspaceFiles
    folder: str
    notebooks: str

    def what_runs(self, settings: JobSettings, uris: Mapping[str, str]) -> str:
        """Return the path in the workspace of the notebook or script, which is sent there if it stands on this machine."""
        script = self.job.call.definition.script
        if settings.driver == JAR:
            return ""
        if script is None:
            return settings.told.get("notebook_path") or settings.told["python_script_path"]
        if settings.driver == NOTEBOOK:
            self._import_notebooks(script)
            return f"{self.notebooks}/{os.path.splitext(script)[0]}"
        with open(remote_script.__file__, "rb") as stream:
            self.files.write(stream.read(), f"{self.folder}/{_BOOTSTRAP}")
        self.files.write(json.dumps(self._script_facts(script, uris)).encode(), f"{self.folder}/step.json")
        self.files.upload(self._source(), f"{self.folder}/source.zip")
        self.files.write(self._bundle(), f"{self.folder}/bundle.zip")
        return f"{self.folder}/{_BOOTSTRAP}"

    def _script_facts(self, script: str, uris: Mapping[str, str]) -> dict[str, Any]:
        """Return what is told to the launcher there: the script, what it may ask of its run, and its variables."""
        call = self.job.call
        values = {"input": uris, "output": uris, "parameter": call.parameters}
        given = {
            name: "".join(text if kind == "text" else values[kind][text] for kind, text in value)
            for name, value in call.definition.params.items()
        }
        names = {port.name for port in call.definition.inputs}
        context = {
            **self.job.context,
            "id": self.job.step_run_id,
            "name": call.definition.name,
            "input_datasets": {name: uri for name, uri in uris.items() if name in names},
            "output_datasets": {name: uri for name, uri in uris.items() if name not in names},
            "datasets": call.datasets,
            "secret_variables": [],
        }
        variables = {parameter_variable(name): text for name, text in {**call.parameters, **given}.items()}
        variables |= {port.variable: uris[port.name] for port in call.definition.inputs}
        variables |= {port.variable: uris[port.name] for port in call.definition.outputs}
        return {
            "script": script,
            "context": context,
            "variables": {**variables, **call.definition.environment.variables},
        }

    def _source(self) -> Path:
        """Return the archive of the working directory."""
        assert self.job.snapshot
        place = self.job.folder / "source.zip"
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as packed:
            for name in self.job.snapshot.files():
                packed.write(self.job.snapshot.place(name) or name, name)
        return place

    def _bundle(self) -> bytes:
        archive = io.BytesIO(bundle_archive())
        with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED, strict_timestamps=False) as packed:
            for place, kept in self.job.own_code.items():
                top = posixpath.basename(place)
                for name in kept.files():
                    packed.write(kept.place(name) or name, f"code/{top}/{name}".rstrip("/"))
        return archive.getvalue()

    def _import_notebooks(self, script: str) -> None:
        """Import the notebook, and the files of its folder that its result depends on."""
        from databricks.sdk.service.workspace import ImportFormat, Language

        how: dict[str, Any]
        assert self.job.snapshot
        for name in sorted({script, *(name for name in self.job.call.declared if self.job.snapshot.place(name))}):
            target, how = f"{self.notebooks}/{name}", {"format": ImportFormat.AUTO}
            if name == script:
                target, kind = os.path.splitext(target)
                how = {"format": ImportFormat.JUPYTER} if kind == ".ipynb" else {"format": ImportFormat.SOURCE}
                how |= {".py": {"language": Language.PYTHON}, ".sql": {"language": Language.SQL}}.get(kind, {})
            self.client.workspace.mkdirs(posixpath.dirname(target))
            content = base64.b64encode(self.job.snapshot.read(name)).decode()
            self.client.workspace.import_(target, content=content, overwrite=True, **how)
