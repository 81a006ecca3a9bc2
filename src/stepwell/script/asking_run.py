"""What a run asks the host that it runs for: its workspace, its other steps, its end; and models that it registers."""

from __future__ import annotations

import os

from stepwell.errors import ModelPathNotFoundException, UserErrorException
from stepwell.script import channel
from stepwell.script.recorder import Recorder

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any


class AskingRun(Recorder):
    """The part of a run that reaches its host."""

    checked_by_heirs = True
    _made: Sequence[Any] = ()

    @property
    def experiment(self) -> RunExperiment:
        """The experiment, with its workspace."""
        return RunExperiment(str(self._log.context.get("experiment", "")))

    def cancel(self) -> None:
        """Stop the pipeline run and with it the script; a step, which is not its parent, can't do that.

        Raises:
            UserErrorException: It is the run of a step, or of a child.
        """
        if self._scope == "parent" and channel.available():
            channel.ask("run.cancel")
            return
        raise UserErrorException(
            "A script can't cancel the run that it is part of",
            {"hint for v1's users": "`run.parent.cancel()` stops the pipeline run"},
            "End the script with an exception or sys.exit(1) to fail the step and stop what depends on it.",
        )

    def find_step_run(self, name: str) -> list[Any]:
        """Find the run's steps of a name.

        Args:
            name: The step's name.

        Returns:
            The steps, with what they logged so far.
        """
        return [*_steps(name)]

    def get_steps(self) -> Iterator[Any]:
        """Find the steps of the pipeline run.

        Returns:
            The steps, with what they logged so far.
        """
        return iter(_steps())

    def get_children(
        self,
        recursive: bool = False,
        tags: Any = None,
        properties: Any = None,
        type: str | None = None,
        status: str | None = None,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Any]:
        """Find the steps of a pipeline run, or the children that this run has made.

        Args:
            recursive: Accepted for v1's sake; not used.
            tags: Only those that have these tags: a name, or names and values.
            properties: Only those that have these properties.
            type: Only those of this type.
            status: Only those of this status.

        Returns:
            The steps, with what they logged so far; children, the newest first.
        """
        if self._scope != "parent":
            yield from (made for made in reversed(self._made) if type is None and _fits(tags, made.get_tags))
            return
        for step in _steps():
            of_kind = type in (None, step.type) and status in (None, step.status)
            if of_kind and _fits(tags, step.get_tags) and _fits(properties, step.get_properties):
                yield step

    def submit_child(self, config: Any, tags: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """Submit a script or command as a run of its own, in the environment of this step.

        Args:
            config: A ScriptRunConfig.
            tags: Labels of the new run.
            **kwargs: Further arguments of v1; not used.

        Returns:
            The new run, which belongs to the pipeline run.

        Raises:
            UserErrorException: It is no ScriptRunConfig, or has no script and no command.
        """
        return _public("_ChildRun").submitted(self, config, tags)

    def register_model(
        self,
        model_name: str,
        model_path: str | None = None,
        tags: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        description: str | None = None,
        datasets: Any = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Keep a file or folder of the run as the next version of a model.

        Args:
            model_name: The model's name.
            model_path: A file or folder that the run has kept, such as `outputs/model.pkl`, or one that stands there in the
                working directory; by default the one that is called like the model.
            tags: What it is marked with; can be changed.
            properties: Facts about it, which are never changed.
            model_framework: What made it, such as `Model.Framework.SCIKITLEARN`.
            model_framework_version: The version of what made it.
            description: What it is.
            datasets: Accepted for v1's sake: the inputs of the step stand in the model's record.
            sample_input_dataset: Accepted for v1's sake; not used.
            sample_output_dataset: Accepted for v1's sake; not used.
            resource_configuration: Accepted for v1's sake; not used.
            **kwargs: Further arguments of v1; not used.

        Returns:
            The model, with its version.

        Raises:
            ModelPathNotFoundException: The run has no such file or folder.
        """
        return _public("Model").register(
            self.experiment.workspace,
            self._kept_path(os.fspath(model_path or model_name)),
            model_name,
            tags=tags,
            properties=properties,
            description=description,
            model_framework=model_framework,
            model_framework_version=model_framework_version,
        )

    # What v1 has beside -----------------------------------------------------------------------------------------------

    def get_details_with_logs(self) -> dict[str, Any]:
        """Return the same as `get_details`: a run that goes on has no logs yet.

        Returns:
            The details.
        """
        found: dict[str, Any] = self.get_details()  # type: ignore[attr-defined]  # (of every heir)
        return found

    def get_all_logs(self, destination: str | None = None) -> list[str]:
        """Return no logs: those of a run that goes on are not complete.

        Args:
            destination: Not used.

        Returns:
            An empty list.
        """
        return []

    def get_snapshot_id(self) -> str:
        """Refuse: a step has a snapshot, of its source directory, and others can ask for it.

        Returns:
            Never.

        Raises:
            UserErrorException: Always.
        """
        raise _refusal(
            "Only a step has a snapshot, that of its source directory", "Ask the step: `find_step_run(name)[0]`."
        )

    def restore_snapshot(self, snapshot_id: str | None = None, path: str | None = None) -> str:
        """Refuse, as `get_snapshot_id`.

        Args:
            snapshot_id: Not used.
            path: Not used.

        Returns:
            Never.

        Raises:
            UserErrorException: Always.
        """
        return self.get_snapshot_id()

    def take_snapshot(self, file_or_folder_path: str | os.PathLike[str]) -> str:
        """Refuse: files are kept with a run by uploading them.

        Args:
            file_or_folder_path: Not used.

        Returns:
            Never.

        Raises:
            UserErrorException: Always.
        """
        raise _refusal(
            "Snapshots are taken of source directories alone", "Keep files with `upload_file` or `upload_folder`."
        )

    def get_environment(self) -> Any:
        """Refuse: an environment is known by its name, or by the configuration that has it.

        Returns:
            Never.

        Raises:
            UserErrorException: Always.
        """
        raise _refusal(
            "A run doesn't give its environment out", "Get a registered one with `Environment.get(ws, name)`."
        )

    def clean(self) -> None:
        """Do nothing: what a run needs only while it works is removed by itself."""

    @staticmethod
    def add_type_provider(runtype: str, run_factory: Any) -> None:
        """Refuse: there are no types of runs beside Stepwell's own.

        Args:
            runtype: Not used.
            run_factory: Not used.

        Raises:
            UserErrorException: Always.
        """
        raise _refusal(
            "There are no types of runs beside Stepwell's own", "Make your own object of `Run.get(ws, run_id)`."
        )

    @staticmethod
    def list_by_compute(
        compute: Any, type: str | None = None, tags: Any = None, properties: Any = None, status: str | None = None
    ) -> Iterator[Any]:
        """Refuse: a run's steps may have many compute targets.

        Args:
            compute: Not used.
            type: Not used.
            tags: Not used.
            properties: Not used.
            status: Not used.

        Returns:
            Never.

        Raises:
            UserErrorException: Always.
        """
        raise _refusal(
            "Runs are not listed by compute target, as each step may have its own",
            "List them with `Experiment.get_runs()`.",
        )

    def _kept_path(self, path: str) -> str:
        """Return where a file or folder of the run stands."""
        kept = self._log.place(self._scope, self._prefix + os.path.normpath(path))
        for place in (kept, path):
            if os.path.exists(place) and place != os.devnull:
                return place
        raise ModelPathNotFoundException(
            "The run has no such file or folder",
            {"path": path, "kept": ", ".join(self.get_file_names()) or "nothing"},
            "Write it to `outputs/`, or keep it with `run.upload_file` or `run.upload_folder` first.",
        )


class RunExperiment:
    """The experiment of a run, as far as a script may know it; what it does not know itself, the workspace's one does."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def workspace(self) -> Any:
        """The workspace of the run; of a script by hand the one of its `config.json`."""
        return _public("Workspace").from_config()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(_public("Experiment")(self.workspace, self.name), name)

    def __repr__(self) -> str:
        return f"Experiment(Name: {self.name})"


def _public(name: str) -> Any:
    """Return a public name of Stepwell: in a step its side here, by hand the host's own."""
    import stepwell

    return getattr(stepwell, name)


def _steps(name: str | None = None) -> list[Any]:
    found: list[Any] = _public("StepRun").found(name)
    return found


def _fits(wanted: Any, facts: Any) -> bool:
    """Return whether a step has the tags, or properties, that are asked for: a name, names, or names with values."""
    if not wanted:
        return True
    known = facts()
    if isinstance(wanted, str):
        return wanted in known
    return all(name in known and str(known[name]) == str(value) for name, value in dict(wanted).items())


def _refusal(title: str, hint: str) -> UserErrorException:
    return UserErrorException(title, hint=hint)
