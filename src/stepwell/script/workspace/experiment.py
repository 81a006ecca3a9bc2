"""`Experiment` as a script of a step has it: a name, its workspace, and runs to log to."""

from __future__ import annotations

from stepwell.errors import UserErrorException
from stepwell.script.run import Run
from stepwell.script.workspace.public_names import Narrow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


class Experiment(Narrow):
    """An experiment, by its name."""

    def __init__(
        self,
        workspace: Any,
        name: str,
        _skip_name_validation: bool = False,
        _id: object = None,
        _archived_time: object = None,
        _create_in_cloud: bool = True,
        _experiment_dto: object = None,
        **_: object,
    ) -> None:
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

    def get_runs(
        self,
        type: str | None = None,
        tags: Any = None,
        properties: Any = None,
        include_children: bool = False,
        _rehydrate_runs: bool = True,
    ) -> NoReturn:
        """Raise UserErrorException: steps see their own run only."""
        raise _can_not("look through the runs of an experiment")

    def tag(self, key: str, value: object = None) -> NoReturn:
        """Raise UserErrorException: steps change no experiments."""
        raise _can_not("change experiments")

    def set_tags(self, tags: object) -> NoReturn:
        """Raise UserErrorException: steps change no experiments."""
        raise _can_not("change experiments")

    def __repr__(self) -> str:
        return f"Experiment(Name: {self.name},\nWorkspace: {getattr(self.workspace, 'name', '')})"


def _can_not(what: str) -> UserErrorException:
    return UserErrorException(f"A step can't {what}", hint="Do it where the pipeline is submitted.")
