"""The process of a submitted run: `python -m stepwell.flows.runs.detached RUN_FOLDER`, pipeline and values as JSON on stdin."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.flows.runs.flow_run import RunOptions
from stepwell.flows.runs.launch import execute, leave, unpacked
from stepwell.flows.runs.pipeline_flow import PipelineFlow
from stepwell.model.definitions import PipelineDefinition


def main() -> None:
    """Execute the run, and exit with 0 if it has finished well, else with 1."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run = RunFolder(Path(sys.argv[1]))
    facts, payload = run.facts(), json.load(sys.stdin)
    definition = PipelineDefinition.from_json(payload["pipeline"])
    values = unpacked(definition, payload["values"])
    options = RunOptions(
        regenerate=facts["regenerate"],
        continue_on_failure=facts["continue_on_failure"],
        verify=facts.get("verify", False),
    )
    pipeline = PipelineFlow.of(definition, BaseWorkspace.get(facts["workspace"]))
    summary = execute(pipeline, run, values, options)
    leave(run, 0 if summary.status == "Finished" else 1)


if __name__ == "__main__":
    main()
