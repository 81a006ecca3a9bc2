"""`HostRun`: what every run is to those who look at it from outside, and what they may add to it: tags, metrics, files, children."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.server.documents import ui_url
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs.words import GONE, Subject, told_facts, words_of
from stepwell.blocks.system.files import remove
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.keyvault import Keyvault
from stepwell.errors import DatastoreException, ExperimentExecutionException, ModelPathNotFoundException
from stepwell.flows.public.model import Model
from stepwell.flows.runs.elsewhere.finding import summary_now
from stepwell.flows.runs.elsewhere.host_logs import HostLog
from stepwell.flows.runs.elsewhere.saying import hear_now
from stepwell.flows.runs.states import fetch_status
from stepwell.flows.runs.summary import FINAL, RunSummary
from stepwell.model.redaction import here
from stepwell.script.run import Run

if TYPE_CHECKING:
    from stepwell.flows.public.pipeline_run import PipelineRun

Marks = str | Mapping[str, Any] | None
"""What runs are chosen by: a name, or names and their values."""


class ExperimentLike(Protocol):
    """What a run has to know of its experiment."""

    @property
    def workspace(self) -> BaseWorkspace:
        """Its workspace."""
        ...

    @property
    def name(self) -> str:
        """Its name."""
        ...


class Named(NamedTuple):
    """An experiment of which only the name is known."""

    workspace: BaseWorkspace
    name: str


ENDED = (*FINAL, "Completed")
"""What `get_status` returns of runs that have ended."""


class KeepsFiles(Protocol):
    """A run that files were kept with."""

    def get_file_names(self) -> list[str]:
        """Return the names of its files."""
        ...

    def download_file(self, name: str, output_file_path: str) -> Any:
        """Copy one of them to a path."""
        ...


@contextmanager
def kept_files(run: KeepsFiles, workspace: BaseWorkspace, wanted: str, missing: Exception) -> Iterator[Path]:
    """Provide a copy of a file that was kept with a run, or of the folder of such files; raise `missing` if there is none."""
    names = [name for name in run.get_file_names() if name == wanted or name.startswith(f"{wanted}/")]
    if not names:
        raise missing
    scratch = workspace.store.scratch_folder()
    try:
        for name in names:
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            run.download_file(name, str(scratch / name))
        yield scratch / wanted
    finally:
        remove(scratch)


@checked
class HostRun(Run):
    """A run as any process but its own sees it.

    Args:
        experiment: The run's experiment.
        run_id: The run's whole id.
    """

    _finished: ClassVar[str] = "Finished"
    _of_steps: ClassVar[bool] = True

    def __init__(self, experiment: ExperimentLike, run_id: str) -> None:
        if "folder" in vars(self):  # `Run(experiment, name)` has found it already
            return
        self._experiment = experiment
        self.workspace = experiment.workspace
        self.folder = RunFolder(self.workspace.run_place.run_folder(run_id))
        self._words = HostLog(self.folder, self.workspace)
        super().__init__(self._words, run_id, "parent")

    @property
    def experiment(self) -> ExperimentLike:  # type: ignore[override]  # (that of a script knows less)
        """The run's experiment."""
        return self._experiment

    @property
    def id(self) -> str:
        """The run's id: that of Prefect's flow run."""
        return self.folder.run_id

    @property
    def name(self) -> str:
        """The run's short name in its workspace, such as `digits#12`: the flow run's in Prefect, unless somebody chose one."""
        return self.folder.label

    @property
    def display_name(self) -> str:  # type: ignore[override]
        """The name that somebody gave it, or its short name."""
        return str(self._told().get("display_name") or self.name)

    @property
    def number(self) -> int:
        """The run's number in its workspace, from 1."""
        return int(self.folder.facts().get("number", 0))

    @property
    def experiment_name(self) -> str:
        """The name of the run's experiment."""
        return self.experiment.name

    @property
    def parent(self) -> PipelineRun | None:  # type: ignore[override]
        """The run that this one belongs to; None if it belongs to none."""
        above = str(self.folder.facts().get("parent_run_id") or "")
        if not above:
            return None
        from stepwell import PipelineRun  # which stands on this module

        with suppress(ExperimentExecutionException):  # it may have been removed
            return PipelineRun.get(self.workspace, above)
        return None

    @property
    def properties(self) -> dict[str, str]:
        """What is known of the source (repository, branch, commit), and what was added."""
        return self.get_properties()

    @property
    def tags(self) -> dict[str, Any]:
        """The tags that the run was submitted with, and those that its scripts or others set."""
        return self.get_tags()

    @property
    def description(self) -> str | None:
        """What somebody said of it."""
        return self._told().get("description") or None

    def _told(self) -> dict[str, Any]:
        """Return the run's facts, with what people on all machines say of it now."""
        with suppress(DatastoreException):
            hear_now(self.workspace, self.folder)
        return told_facts(self.folder.facts(), words_of(self.folder))

    def summary(self) -> RunSummary:
        """Read what is known of the run now.

        Returns:
            The run's status, facts and steps.
        """
        return summary_now(self.workspace, self.folder)

    def get_status(self) -> str:
        """Return the run's status now; Prefect is asked if the run has not begun.

        Returns:
            `NotStarted`, `Running`, `Finished`, `Failed` or `Canceled`, as in Azure ML SDK v1; of a run that is no
            pipeline's, `Completed` in place of `Finished`.

        Raises:
            ExperimentExecutionException: There is no such run.
        """
        status = self.summary().status
        status = fetch_status(self.folder) if status == "NotStarted" else status
        return self._finished if status == "Finished" else status

    @property
    def status(self) -> str:
        """As `get_status`, with v1's other word `Completed` for a run that has finished."""
        status = self.get_status()
        return "Completed" if status == "Finished" else status

    def get_detailed_status(self) -> dict[str, str]:
        """Return the status, and why it is so.

        Returns:
            `status`, and `details`, which are '' where nothing went wrong.
        """
        return {"status": self.status, "details": self.summary().problem}

    def get_portal_url(self) -> str:
        """Return the address of the run's page in Prefect's UI.

        Returns:
            A URL.
        """
        return ui_url(f"/runs/flow-run/{self.id}")

    def update(self, display_name: str | None = None, description: str | None = None, tags: Any = None) -> None:
        """Change what people are told of the run; what is None stays.

        Args:
            display_name: A name for people.
            description: What it is.
            tags: Tags to set.
        """
        told = {Subject("name"): display_name, Subject("note"): description}
        with self._words.together():
            self._words.say(
                {of: here().redact(text) if text else GONE for of, text in told.items() if text is not None}
            )
            self.set_tags(tags or {})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set several tags, as text, all of them at once; others stay.

        Args:
            tags: Names of tags and their values.

        Raises:
            UserErrorException: A name is empty or no text.
        """
        with self._words.together():
            super().set_tags(tags)

    def remove_tags(self, tags: Iterable[str]) -> None:
        """Remove tags, all of them at once; those that are not set are fine.

        Args:
            tags: Their names.

        Raises:
            UserErrorException: A name is empty or no text.
        """
        with self._words.together():
            super().remove_tags(tags)

    def get_tags(self) -> dict[str, Any]:
        """Return all tags: of its submission, of its scripts, and of people on any machine, as names and values.

        Returns:
            The tags.
        """
        self._told()
        return super().get_tags()

    def get_secret(self, name: str) -> str:
        """Return a secret of the workspace.

        Args:
            name: Its name in the workspace's key vault.

        Returns:
            Its value.

        Raises:
            UserErrorException: There is none of that name.
        """
        return Keyvault(self.workspace).get_secret(name)

    def register_model(
        self,
        model_name: str,
        model_path: str | os.PathLike[str] | None = None,
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
    ) -> Model:
        """Keep files that were uploaded to the run as the next version of a model.

        Args:
            model_name: The model's name.
            model_path: A file of `get_file_names`, or a folder of such files; by default the model's name.
            tags: What the model is marked with.
            properties: Facts about it, which are never changed.
            model_framework: What made it, such as `Model.Framework.SCIKITLEARN`.
            model_framework_version: The version of what made it.
            description: What it is.
            datasets: As for `Model.register`.
            sample_input_dataset: Accepted for v1's sake; not used.
            sample_output_dataset: Accepted for v1's sake; not used.
            resource_configuration: Accepted for v1's sake; not used.
            **kwargs: v1's further arguments; not used.

        Returns:
            The model, which knows this run.

        Raises:
            ModelPathNotFoundException: The run has no such file.
        """
        wanted = os.fspath(model_path or model_name).strip("/")
        hint = "List the files with `get_file_names()`; those of a step are its own: `find_step_run(name)[0]`."
        missing = ModelPathNotFoundException(f"The run has no file {wanted!r}", {"run": self.name}, hint)
        with kept_files(self, self.workspace, wanted, missing) as path:
            return Model.register(
                self.workspace,
                path,
                model_name,
                tags=tags,
                properties=properties,
                description=description,
                datasets=datasets,
                model_framework=model_framework,
                model_framework_version=model_framework_version,
                origin={"run_id": self.id, "experiment": self.experiment_name},
            )

    # Children -------------------------------------------------------------------------------------------------------

    def get_children(
        self,
        recursive: bool = False,
        tags: Marks = None,
        properties: Marks = None,
        type: str | None = None,
        status: str | None = None,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Any]:
        """Iterate over the runs that belong to this one, newest first: those that it submitted, and its steps.

        Args:
            recursive: Whether those that belong to them follow, too.
            tags: Only runs that have this tag, or these tags with these values.
            properties: Only runs that have this property, or these properties with these values.
            type: Only runs of this type, such as `azureml.StepRun`.
            status: Only runs of this status.

        Returns:
            An iterator over runs and steps.
        """
        for child in self._children_now():
            if fits(child, tags, properties, type) and status in (None, child.status):
                yield child
            if recursive and isinstance(child, HostRun):
                yield from child.get_children(True, tags, properties, type, status)

    def _children_now(self) -> Iterator[Any]:
        """Iterate over the runs that belong to this one, newest first."""
        raise NotImplementedError

    def submit_child(self, config: Any, tags: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """Submit something as a run that belongs to this one.

        Args:
            config: As for `Experiment.submit`.
            tags: Labels of the new run.
            **kwargs: Further arguments of `Experiment.submit`.

        Returns:
            The new run.
        """
        from stepwell import Experiment  # which stands on this module

        experiment = Experiment(self.workspace, self.experiment_name)
        return experiment.submit(config, tags, parent_run_id=self.id, **kwargs)


def fits(run: Any, tags: Marks = None, properties: Marks = None, type: str | None = None) -> bool:
    """Return whether the run is of the type, and has all of the tags and properties."""
    if type is not None and type.lower() not in (run.type.lower(), run.type.lower().removeprefix("azureml.")):
        return False
    return (not tags or has_marks(run.tags, tags)) and (not properties or has_marks(run.properties, properties))


def has_marks(known: Mapping[str, Any], wanted: Marks) -> bool:
    """Return whether what is known has the name, or all names with their values; a name without a value has any."""
    if isinstance(wanted, str):
        return wanted in known
    return all(
        (name in known and value in (None, known[name])) or known.get(name) == str(value)
        for name, value in (wanted or {}).items()
    )
