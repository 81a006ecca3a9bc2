"""`Experiment`: a name for runs that belong together, and the way to submit a pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from stepwell.blocks.workspace import BaseWorkspace
from stepwell.errors import UserErrorException
from stepwell.flows.launching import detach, register
from stepwell.flows.pipeline import Pipeline
from stepwell.flows.running import RunOptions
from stepwell.flows.runs import PipelineRun, all_runs


class Experiment:
    """Runs that belong together."""

    def __init__(self, workspace: BaseWorkspace, name: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}", name):
            raise UserErrorException(
                f"{name!r} can't name an experiment",
                hint="Use 1 to 255 letters, digits, '_' and '-', the first a letter or digit.",
            )
        self.workspace = workspace
        self.name = name

    def submit(
        self,
        config: Pipeline,
        tags: Mapping[str, str] | None = None,
        *,
        pipeline_parameters: Mapping[str, Any] | None = None,
        pipeline_params: Mapping[str, Any] | None = None,
        regenerate_outputs: bool = False,
        continue_on_step_failure: bool = False,
        **ignored: Any,
    ) -> PipelineRun:
        """The run of the pipeline, at work in a process of its own that outlives this one.

        Wrong parameters, missing scripts and unreadable sources raise before anything is started.
        """
        values = config.values(pipeline_parameters or pipeline_params or {})
        options = RunOptions(regenerate=regenerate_outputs, continue_on_failure=continue_on_step_failure)
        folder = register(config, self.name, values, tags or {}, options)
        detach(config, folder, values)
        run = PipelineRun(self, folder.run_id)
        print(f"Submitted PipelineRun {run.id}\n{run.get_portal_url()}")
        return run

    def get_runs(self, tags: Mapping[str, str] | None = None, **ignored: Any) -> Iterator[PipelineRun]:
        """The experiment's runs, newest first; with `tags`, those that have them."""
        return (
            run
            for run in all_runs(self.workspace)
            if run.experiment_name == self.name and (tags or {}).items() <= run.tags.items()
        )

    def __repr__(self) -> str:
        return f"Experiment(name={self.name!r}, workspace={self.workspace.name!r})"
