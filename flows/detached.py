"""The process of a submitted run: `python -m stepwell.flows.detached RUN_FOLDER`, pipeline and values as JSON on stdin."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from stepwell.blocks.run_folder import RunFolder
from stepwell.flows.launching import execute, leave, unpacked
from stepwell.flows.pipeline import Pipeline
from stepwell.flows.running import RunOptions
from stepwell.flows.workspace import Workspace
from stepwell.vocabulary import PipelineDefinition


def main() -> None:
    """Exit with 0 when the run has finished well, else with 1."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run = RunFolder(Path(sys.argv[1]))
    facts, order = run.facts(), json.load(sys.stdin)
    definition = PipelineDefinition.from_json(order["pipeline"])
    values = unpacked(definition, order["values"])
    options = RunOptions(regenerate=facts["regenerate"], continue_on_failure=facts["continue_on_failure"])
    pipeline = Pipeline.of(definition, Workspace.get(facts["workspace"]))
    summary = execute(pipeline, run, values, options)
    leave(run, 0 if summary.status == "Finished" else 1)


if __name__ == "__main__":
    main()
