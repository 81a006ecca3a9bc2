"""The script's side of a run: `Run.get_context()` logs metrics, tags and files inside a step, or shows them outside."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from stepwell.errors import RunEnvironmentException, UserErrorException
from stepwell.script import channel
from stepwell.script.asking_run import AskingRun, RunExperiment
from stepwell.script.events import confined
from stepwell.script.log import FolderLog, ScreenLog

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from typing import Any, Self

    from stepwell.script.metrics import Scope


class Run(AskingRun):
    """The run that a script is part of, or its `parent`, the pipeline run, or a `child_run` of it."""

    checked_by_heirs = True

    def __new__(cls, experiment: Any, run_id: str, outputs: str | None = None, *_: Any, **kwargs: Any) -> Self:
        """Return a run; of an experiment on the host, the one of that id, as `Run.get` does."""
        if cls is Run and hasattr(experiment, "workspace"):
            import stepwell  # the public names, which stand on this module

            return stepwell.PipelineRun.get(experiment.workspace, run_id)  # type: ignore[return-value]  # (it is a Run)
        return super().__new__(cls)

    def __init__(
        self,
        log: FolderLog | ScreenLog,
        run_id: str,
        scope: Scope = "step",
        prefix: str = "",
        above: Run | None = None,
    ) -> None:
        super().__init__(log, scope, prefix)
        self._id = run_id
        self._above = above
        self._children = 0
        self._made: list[Run] = []

    @classmethod
    def get_context(cls, allow_offline: bool = True, used_for_context_manager: bool = False, **kwargs: object) -> Run:
        """Return the run of the step that this process belongs to; outside of one, a run that shows what is logged.

        Args:
            allow_offline: Whether a script that no step runs gets a run that only prints what is logged, as in Azure ML
                SDK v1.
            used_for_context_manager: Accepted for v1's sake; not used.
            **kwargs: Further arguments of v1; not used.

        Returns:
            The step's run, or one whose id begins with `OfflineRun_`.

        Raises:
            RunEnvironmentException: No step runs this script, and `allow_offline` is False.
        """
        run_id, control = os.environ.get("AZUREML_RUN_ID"), os.environ.get("STEPWELL_CONTROL")
        if run_id and control:
            return Run(FolderLog(control), run_id)
        if not allow_offline:
            raise RunEnvironmentException(
                "This script doesn't run inside a step",
                {"missing": "AZUREML_RUN_ID and STEPWELL_CONTROL in the environment"},
                "Start it as a step of a pipeline, or call Run.get_context(allow_offline=True).",
            )
        return _OfflineRun.new()

    @classmethod
    def get_submitted_run(cls, **kwargs: object) -> Run:
        """Return the same as `get_context`, under v1's older name.

        Args:
            **kwargs: Further arguments of v1; not used.

        Returns:
            The run that the script is part of.
        """
        return cls.get_context()

    @staticmethod
    def get(workspace: Any, run_id: str) -> Run:
        """Find a run of a workspace, on the host.

        Args:
            workspace: The workspace to look in.
            run_id: Its short name, its id, or the beginning of that.

        Returns:
            The run.

        Raises:
            ExperimentExecutionException: No run, or more than one, is meant.
        """
        import stepwell

        found: Run = stepwell.PipelineRun.get(workspace, run_id)
        return found

    @staticmethod
    def list(
        experiment: Any,
        type: str | None = None,
        tags: Any = None,
        properties: Any = None,
        status: str | None = None,
        include_children: bool = False,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Run]:
        """Find the runs of an experiment, on the host, newest first.

        Args:
            experiment: The experiment.
            type: Only runs of this type, such as `azureml.PipelineRun`.
            tags: Only runs that have this tag, or these tags with these values.
            properties: Only runs that have this property, or these properties with these values.
            status: Only runs of this status.
            include_children: Whether runs that belong to other runs are listed, too.

        Returns:
            An iterator over the runs.
        """
        found = experiment.get_runs(type=type, tags=tags, properties=properties, include_children=include_children)
        return (run for run in found if status in (None, run.status))

    # What it is -----------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The run's id; outside of a run it begins with `OfflineRun_`."""
        return self._id

    @property
    def _run_id(self) -> str:
        """The id, by the name that much code of v1's takes it by."""
        return self.id

    @property
    def name(self) -> str:
        """The step's name, or the child's."""
        if self._prefix:
            return self._prefix.rstrip("/").rpartition("/")[2]
        return str(self._log.context.get("name" if self._scope == "step" else "parent_name", self._id))

    display_name = name

    @property
    def number(self) -> int:
        """The number of the run in its experiment, 0 if unknown."""
        return int(self._log.context.get("number") or 0)

    @property
    def type(self) -> str:
        """`azureml.StepRun`, `azureml.PipelineRun` or `azureml.scriptrun`, as in v1."""
        if self._prefix:
            return "azureml.scriptrun"
        return "azureml.StepRun" if self._scope == "step" else "azureml.PipelineRun"

    @property
    def status(self) -> str:
        """`Running`: the script that asks does."""
        return "Running"

    @property
    def parent(self) -> Run | None:
        """The pipeline run of a step, the maker of a child; None above that."""
        if self._above is not None or self._scope == "parent":
            return self._above
        return type(self)(self._log, str(self._log.context.get("parent_id", "")), "parent")

    @property
    def input_datasets(self) -> dict[str, Any]:
        """Names of inputs to their local paths; to a dataset for each that the step gets as one (`as_named_input(name)`)."""
        found = _named(self._log.context.get("input_datasets", {}))
        direct = {name: of for name, of in self._log.context.get("datasets", {}).items() if of["mode"] == "direct"}
        if direct:
            from stepwell.script.tables.local_dataset import dataset_at

            found.update((name, dataset_at(found[name], of)) for name, of in direct.items())
        return found

    @property
    def output_datasets(self) -> dict[str, str]:
        """Names of outputs to their local paths."""
        return _named(self._log.context.get("output_datasets", {}))

    def get_status(self) -> str:
        """Return the status.

        Returns:
            `Running`, as the script that asks does.
        """
        return self.status

    def get_details(self) -> dict[str, Any]:
        """Return the id, status, properties and datasets, under the names of Azure ML SDK v1.

        Returns:
            `runId`, `target`, `status`, `properties`, `inputDatasets` and `outputDatasets` (names to local paths), and
            `logFiles`, which is empty while the script runs.
        """
        return {
            "runId": self.id,
            "target": self._log.context.get("target", "local"),
            "status": self.status,
            "properties": self.get_properties(),
            "inputDatasets": self.input_datasets,
            "outputDatasets": self.output_datasets,
            "logFiles": {},
        }

    def __repr__(self) -> str:
        return f"Run(Experiment: {self.experiment.name}, Id: {self.id}, Type: {self.type}, Status: {self.status})"

    # Ending, children, secrets --------------------------------------------------------------------------------------

    def complete(self, _set_status: bool = True) -> None:
        """Do nothing: a step is complete when its script ends with code 0."""

    def flush(self, timeout_seconds: float = 300) -> None:
        """Do nothing: what is logged is written at once.

        Args:
            timeout_seconds: Accepted for v1's sake; not used.
        """

    def fail(self, error_details: object = None, error_code: str | None = None, _set_status: bool = True) -> None:
        """Record a failure: the step fails when its script ends, whatever its exit code.

        Args:
            error_details: What went wrong, as text or as an exception.
            error_code: A short code, put before the details.
        """
        parts = [str(part) for part in (error_code, error_details) if part is not None]
        self._append({"type": "failed", "name": self._prefix.rstrip("/"), "value": ": ".join(parts)})

    def child_run(self, name: str | None = None, run_id: str | None = None, outputs: str | None = None) -> Run:
        """Make a run whose metrics, tags and files are kept with this one's, under `<name>/`.

        Args:
            name: Name of the child; None for `child_1`, `child_2`, ….
            run_id: Its id; None for `<id of this run>_<name>`.
            outputs: Accepted for v1's sake; not used.

        Returns:
            The child, whose `parent` is this run.

        Raises:
            UserErrorException: The name is no plain path.
        """
        self._children += name is None
        child = name or f"child_{self._children}"
        prefix = f"{self._prefix}{confined(child)}/"
        made = type(self)(self._log, run_id or f"{self._id}_{child}", self._scope, prefix, above=self)
        self._made.append(made)
        return made

    def create_children(
        self, count: int | None = None, tag_key: str | None = None, tag_values: Sequence[Any] | None = None
    ) -> Sequence[Run]:
        """Make several runs as `child_run` does.

        Args:
            count: How many; by default as many as `tag_values`.
            tag_key: A tag that each has.
            tag_values: The tag's values, one for each run.

        Returns:
            The children.
        """
        marks = [None] * (count or 0) if tag_values is None else tag_values
        made = [self.child_run() for _ in marks]
        for child, mark in zip(made, marks):  # noqa: B905  (old Pythons)
            if tag_key:
                child.tag(tag_key, mark)
        return made

    def get_secret(self, name: str) -> str:
        """Return the value of an environment variable, or of a secret of the workspace.

        Args:
            name: Name of the variable, as it is or as MY_NAME for `my-name`, or of the secret.

        Returns:
            Its value.

        Raises:
            UserErrorException: There is neither.
        """
        variable = "".join(mark if mark.isalnum() else "_" for mark in name).upper()
        value = os.environ.get(name, os.environ.get(variable))
        if value is None and channel.available():
            return str(channel.ask("secret.get", name=name))
        if value is None:
            raise UserErrorException(
                f"There is no secret {name!r}",
                {"looked for": f"{name}, {variable}"},
                "Set it in the step's environment.",
            )
        return value

    def get_secrets(self, secrets: Iterable[str]) -> dict[str, str]:
        """Return the values of several environment variables.

        Args:
            secrets: Names as for `get_secret`.

        Returns:
            The names and their values.

        Raises:
            UserErrorException: There is no variable for one of them.
        """
        return {name: self.get_secret(name) for name in secrets}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self.fail(f"{type(error).__name__}: {error}")


def mark_incomplete(reason: str) -> None:
    """Say that the step's result lacks something: it is kept, and the next run makes it again, for this reason.

    It is for what runs a script in Python's place.
    """
    Run.get_context()._append({"type": "incomplete", "name": "", "value": reason})  # noqa: SLF001  (of this module)


def _named(paths: dict[str, Any]) -> dict[str, Any]:
    """Return the paths of ports that users named; those of Stepwell's own have blanks in their names."""
    return {name: path for name, path in paths.items() if " " not in name}


class _OfflineRun(Run):
    """The run of a script by hand; its type is how scripts for v1 ask whether they are one."""

    @classmethod
    def new(cls) -> _OfflineRun:
        """Return a run with a fresh id."""
        from uuid import uuid4

        run_id = f"OfflineRun_{uuid4()}"
        return cls(ScreenLog({"experiment": "offline", "parent_id": f"{run_id}_parent"}), run_id)

    @property
    def experiment(self) -> RunExperiment:
        """The experiment that a script by hand belongs to, whose workspace is that of its `config.json`."""
        return RunExperiment("offline")

    def get_file_names(self) -> list[str]:
        """Return no names: nothing is kept."""
        return []

    def register_model(self, model_name: str, *_: object, **__: object) -> None:
        """Tell that a model would be registered: nothing is kept."""
        print(f"Attempted to register model: {model_name}")
