"""A run that a script has submitted to its host, as the script sees it."""

from __future__ import annotations

import os
import sys
import time

from stepwell.errors import ActivityFailedException, UserErrorException
from stepwell.script import channel
from stepwell.script.submitting.script_run_config import ScriptRunConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_ENDED = ("Finished", "Failed", "Canceled")
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class _ChildRun:
    """A run that belongs to the run of the step."""

    def __init__(self, facts: Mapping[str, Any], parent: Any) -> None:
        self.id = str(facts["id"])
        self.name = self.display_name = str(facts["name"])
        self.type = "azureml.scriptrun"
        self.parent = parent

    @classmethod
    def submitted(cls, parent: Any, config: Any, tags: Mapping[str, Any] | None) -> _ChildRun:
        """Submit what a `ScriptRunConfig` says; raise UserErrorException if it is none."""
        if not isinstance(config, ScriptRunConfig) or not (config.script or config.command):
            raise UserErrorException(
                "A script submits a ScriptRunConfig with a script or command",
                {"given": type(config).__name__},
                "Submit pipelines where the pipeline of this step is submitted.",
            )
        target = config.target if config.target is None or isinstance(config.target, str) else config.target.name
        command = config.command
        asked = {
            "script": None if command else config.script,
            "command": command if command is None or isinstance(command, str) else [str(word) for word in command],
            "arguments": [str(argument) for argument in config.arguments],
            "target": target,
            "tags": {str(name): str(value) for name, value in (tags or {}).items()},
            "timeout_seconds": config.max_run_duration_seconds,
        }
        return cls(channel.send("run.submit_child", os.path.abspath(config.source_directory or "."), **asked), parent)

    def get_status(self) -> str:
        """Return the status now, in v1's words."""
        status = str(self._facts()["status"])
        return "Completed" if status == "Finished" else status

    @property
    def status(self) -> str:
        """As `get_status`."""
        return self.get_status()

    def wait_for_completion(
        self,
        show_output: bool = False,
        wait_post_processing: bool = False,
        raise_on_error: bool = True,
        timeout_seconds: float = sys.maxsize,
    ) -> dict[str, Any]:
        """Wait until the run has ended, and return its details; raise ActivityFailedException if it failed."""
        deadline, pause = time.monotonic() + timeout_seconds, _SHORTEST_PAUSE
        while (facts := self._facts())["status"] not in _ENDED and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        if show_output:
            print(facts["output"], end="")
        if raise_on_error and facts["status"] == "Failed":
            title = str(facts["error"] or "The child run failed").splitlines()[0]
            raise ActivityFailedException(title, {"run": self.id}, "Look at `stepwell show` of this run.")
        return self.get_details()

    def get_details(self) -> dict[str, Any]:
        """Return id and status under v1's names."""
        return {"runId": self.id, "status": self.status}

    def get_metrics(self, name: str | None = None, **_: object) -> dict[str, Any]:
        """Return the metrics that the run has logged so far."""
        from stepwell.script.metrics import metrics_of

        metrics = metrics_of(self._facts()["events"])
        return {key: value for key, value in metrics.items() if name in (None, key)}

    def get_tags(self) -> dict[str, str]:
        """Return the tags of the run."""
        return dict(self._facts()["tags"])

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = channel.ask("run.child", id=self.id)
        return facts

    def __repr__(self) -> str:
        return f"Run(Id: {self.id}, Type: {self.type})"
