"""Source directories whose scripts tell when they were run, and pipelines over them."""

from __future__ import annotations

import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

Workspace = Any  # what follows is imported late, so that tests without a server don't wait for Prefect


class Project:
    """A source directory, and pipelines over it whose scripts note each execution in a file outside of it."""

    def __init__(self, folder: Path, workspace: Workspace) -> None:
        self.folder = folder
        self.workspace = workspace
        self.source = folder / "source"
        self.source.mkdir()
        self.log = folder / "executions"

    def write(self, name: str, text: str) -> Path:
        """Return the file `name` of the source directory, which holds `text` now."""
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def script(self, name: str, body: str = "") -> str:
        """Return the name of a script that notes its execution, then runs `body` with `sys` and its arguments as `args`."""
        note = f"import sys\nargs = sys.argv[1:]\nwith open({str(self.log)!r}, 'a') as log:\n    log.write({name!r} + '\\n')\n"
        self.write(name, note + textwrap.dedent(body))
        return name

    def step(self, script: str, body: str | None = None, /, **more: Any) -> Any:
        """Return a PythonScriptStep of the script, which is written first if there is a `body`."""
        from stepwell import PythonScriptStep

        if body is not None:
            self.script(script, body)
        return PythonScriptStep(script, source_directory=self.source, **more)

    def pipeline(self, *steps: Any, **more: Any) -> Any:
        """Return a pipeline of the steps."""
        from stepwell import Pipeline

        return Pipeline(self.workspace, list(steps), **more)

    def run(self, pipeline: Any, **parameters: Any) -> Any:
        """Return the summary of a run of the pipeline, however it ended."""
        from stepwell.blocks.store.run_folder import RunFolder
        from stepwell.blocks.server.connection import client_settings
        from stepwell.flows.runs.summary import summarize

        with client_settings():
            state = pipeline.flow(**parameters, return_state=True)
        return summarize(RunFolder(self.workspace.store.run_folder(str(state.state_details.flow_run_id))))

    def happened(self, pipeline: Any, **parameters: Any) -> dict[str, str]:
        """Return what happened to each step of a new run."""
        return {step.id: step.happened for step in self.run(pipeline, **parameters).steps}

    @property
    def executions(self) -> Counter[str]:
        """Return how often each script was run."""
        return Counter(self.log.read_text().split("\n")[:-1] if self.log.exists() else [])

    def records(self) -> list[Path]:
        """Return the files of the kept results."""
        return sorted((self.workspace.store.root / "records").glob("*/*.json"))
