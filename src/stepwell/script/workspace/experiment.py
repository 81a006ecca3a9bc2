"""`Experiment` as a script of a step has it: a name, its workspace, and runs to log to."""

from __future__ import annotations

from stepwell.errors import UserErrorException
from stepwell.script.run import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


class Experiment:
    """An experiment, by its name."""

    def __init__(self, workspace: Any, name: str, _skip_name_validation: bool = False, **_: object) -> None:
        self.workspace = workspace
        self.name = name

    def start_logging(
        self, *args: object, outputs: object = None, snapshot_directory: object = None, **kwargs: object
    ) -> Run:
        """Return a child of the step's run, under the name of the experiment if that is another than the run's."""
        run = Run.get_context()
        display = kwargs.get("display_name")
        return run.child_run(str(display) if display else None)

    def submit(self, config: object, tags: object = None, **kwargs: object) -> NoReturn:
        """Raise UserErrorException: steps submit nothing."""
        raise _can_not("submit pipelines")

    def get_runs(self, *args: object, **kwargs: object) -> NoReturn:
        """Raise UserErrorException: steps see their own run only."""
        raise _can_not("look through the runs of an experiment")

    def __repr__(self) -> str:
        return f"Experiment(Name: {self.name},\nWorkspace: {getattr(self.workspace, 'name', '')})"


def _can_not(what: str) -> UserErrorException:
    return UserErrorException(f"A step can't {what}", hint="Do it where the pipeline is submitted.")
