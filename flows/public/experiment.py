"""`Experiment`: a name for runs that belong together, and the way to submit a pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol, TypedDict, Unpack
from urllib.parse import quote

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.arguments.hints import Words
from stepwell.blocks.server import documents
from stepwell.blocks.workspace import experiments
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import UserErrorException
from stepwell.flows.configurations.notebook_run_config import NotebookRunConfig
from stepwell.flows.configurations.script_run_config import ScriptRunConfig
from stepwell.flows.pages.notebook import rows_html
from stepwell.flows.pages.shown_tables import Listed, Shown, runs_table
from stepwell.flows.public.host_run import Marks, fits, has_marks
from stepwell.flows.public.hyperdrive_run import KIND as SWEEP
from stepwell.flows.public.interactive_run import SCRIPT, InteractiveRun
from stepwell.flows.public.pipeline import Pipeline
from stepwell.flows.public.pipeline_run import PipelineRun, all_runs
from stepwell.flows.runs.comparing.run_table import rows_of
from stepwell.flows.runs.elsewhere.finding import known_runs
from stepwell.flows.runs.flow_run import RunOptions
from stepwell.flows.runs.launch import detach, register
from stepwell.flows.runs.names import check_experiment
from stepwell.flows.steps.argument_types import Plain
from stepwell.flows.steps.fan_out.hyperdrive_config import HyperDriveConfig
from stepwell.flows.steps.fan_out.hyperdrive_step import HyperDriveStep
from stepwell.flows.steps.scripts.command_step import CommandStep
from stepwell.flows.steps.scripts.notebook_runner_step import NotebookRunnerStep
from stepwell.flows.steps.scripts.python_script_step import PythonScriptStep
from stepwell.flows.steps.step import Step


class Submittable(Protocol):
    """What knows itself how to be run: a published pipeline, or an endpoint over several."""

    @property
    def id(self) -> str:
        """Its id, a UUID."""
        ...

    def submit(
        self,
        *,
        experiment_name: str,
        pipeline_parameters: Mapping[str, Any] | None,
        parent_run_id: str | None,
        continue_on_step_failure: bool | None,
        tags: Mapping[str, Plain] | None,
        regenerate_outputs: bool,
    ) -> PipelineRun:
        """Return the run, at work or soon to be."""
        ...


class V1Submit(TypedDict, total=False):
    """v1's further arguments of `Experiment.submit`."""

    credential_passthrough: bool | None
    show_output: bool | None


@checked
class Experiment:
    """Runs that belong together.

    Args:
        workspace: The workspace whose pipelines run in the experiment.
        name: 1 to 255 letters, digits, '_' and '-', the first a letter or digit, as in Azure ML SDK v1.

    Raises:
        UserErrorException: The name can't name an experiment.

    Attributes:
        workspace: The experiment's workspace.
        name: The experiment's name.
    """

    def __init__(
        self,
        workspace: BaseWorkspace,
        name: str,
        _skip_name_validation: bool = False,
        _id: str | None = None,
        _archived_time: object = None,
        _create_in_cloud: bool = True,
        _experiment_dto: object = None,
    ) -> None:
        self.workspace = workspace
        self.name = check_experiment(name)

    def submit(
        self,
        config: Annotated[
            Pipeline | ScriptRunConfig | HyperDriveConfig | Submittable,
            Words("a Pipeline, a ScriptRunConfig, a HyperDriveConfig, a PublishedPipeline or a PipelineEndpoint"),
        ],
        tags: Mapping[str, Plain] | None = None,
        *,
        pipeline_parameters: Mapping[str, Any] | None = None,
        pipeline_params: Mapping[str, Any] | None = None,
        regenerate_outputs: bool = False,
        continue_on_step_failure: bool = False,
        verify_digests: bool = False,
        parent_run_id: str | None = None,
        pipeline_version: str | None = None,
        **ignored: Unpack[V1Submit],
    ) -> PipelineRun:
        """Start the pipeline, or a published one, in a process of its own that outlives this one.

        Wrong parameters, missing scripts, data, modules and targets raise before anything is started: what `validate` lists.

        Args:
            config: A Pipeline, a PublishedPipeline or a PipelineEndpoint; or a ScriptRunConfig or an Estimator, which becomes a
                pipeline of one step that always runs, and whose run is a `ScriptRun`;
                or a HyperDriveConfig, whose run is a `HyperDriveRun`.
            tags: Labels of the run, by which `get_runs` finds it.
            pipeline_parameters: Values by parameter; the others keep their defaults.
            pipeline_params: v1's older name of `pipeline_parameters`.
            regenerate_outputs: Whether every step runs anew, whatever earlier runs left.
            continue_on_step_failure: Whether steps that do not depend on a failed one go on. False leaves it to what a
                published pipeline was published with.
            verify_digests: Whether every byte is read, instead of believing digests of files that look unchanged; of a Pipeline
                only.
            parent_run_id: The run that this one belongs to.
            pipeline_version: Which version of a PipelineEndpoint runs; by default its default one.
            **ignored: `show_output` waits for the end and shows what happens, as v1 does for a search; `credential_passthrough` is
                accepted and not used.

        Returns:
            The run, at work or, if a worker is to take it, soon to be.

        Raises:
            UserErrorException: A parameter is unknown or has a wrong value.
            ExperimentExecutionException: The run's process ended before it began.
        """
        given = pipeline_parameters or pipeline_params or {}
        labels = {name: str(value) for name, value in (tags or {}).items()}
        kind = {}
        if isinstance(config, (ScriptRunConfig, HyperDriveConfig)):
            kind = {"kind": SCRIPT if isinstance(config, ScriptRunConfig) else SWEEP}
            config = Pipeline(self.workspace, [_step_of(config)], name=self.name, rules=config.default_rules)
        if not isinstance(config, Pipeline):
            go_on = continue_on_step_failure or None
            more: dict[str, Any] = {} if pipeline_version is None else {"pipeline_version": pipeline_version}
            submitted = config.submit(
                experiment_name=self.name,
                pipeline_parameters=given,
                parent_run_id=parent_run_id,
                continue_on_step_failure=go_on,
                tags=labels,
                regenerate_outputs=regenerate_outputs,
                **more,
            )
            return _followed(submitted, ignored)
        values = config.values(given)
        options = RunOptions(
            regenerate=regenerate_outputs, continue_on_failure=continue_on_step_failure, verify=verify_digests
        )
        folder = register(config, self.name, values, labels, options, check=True)
        if parent_run_id or kind:
            folder.describe({**kind, "parent_run_id": parent_run_id})
        detach(config, folder, values)
        run = PipelineRun.of_folder(self.workspace, folder)
        print(f"Submitted {type(run).__name__} {run.id} ({run.name})\n{run.get_portal_url()}")
        return _followed(run, ignored)

    def start_logging(self, *args: Any, **kwargs: Any) -> InteractiveRun:
        """Begin a run that this program logs to while it works, and ends by `complete()`.

        Args:
            *args: Accepted for v1's sake; not used.
            **kwargs: `outputs`: a folder whose files are kept when the run is complete; `snapshot_directory`: a folder whose
                commit is noted, by default the current one; `display_name`: a name for people; v1's others are not used.

        Returns:
            The run, at work.
        """
        return InteractiveRun.start(
            self,
            display_name=kwargs.get("display_name"),
            outputs=kwargs.get("outputs") or None,
            source=kwargs.get("snapshot_directory") or ".",
        )

    def get_runs(
        self,
        type: str | None = None,
        tags: Marks = None,
        properties: Marks = None,
        include_children: bool = False,
        _rehydrate_runs: bool = True,
    ) -> Iterator[PipelineRun]:
        """Find the experiment's runs, newest first.

        Args:
            type: Only runs of this type, such as `azureml.PipelineRun`.
            tags: Only runs that have this tag, or all of these tags with these values.
            properties: Only runs that have this property, or all of these properties with these values.
            include_children: Whether runs that belong to others are found, too.

        Returns:
            An iterator over the runs.
        """

        def found() -> Iterator[PipelineRun]:
            own = all_runs(
                self.workspace, lambda one: one.experiment == self.name and (include_children or not one.parent)
            )
            return (run for run in own if fits(run, tags, properties, type))

        return Shown(found, lambda: runs_table(found()))

    def compare(self, sort: str | None = None, ascending: bool = False, include_children: bool = False) -> _Rows:
        """Compare the experiment's runs: a row for each, with its parameters and metrics, as `pandas.DataFrame` takes them.

        Args:
            sort: The metric, parameter or other column to order by; by default the newest run is first.
            ascending: Whether the smallest is first.
            include_children: Whether runs that belong to others are compared, too.

        Returns:
            Rows with the same columns: `run`, `id`, `experiment`, `status`, `started`, `seconds`, `tags`, `params.<name>`, and
            `metrics.<name>`, or `metrics.<step>/<name>` if several have it; of a series its last value. None where a run has
            no such thing.

        Raises:
            UserErrorException: No run has what `sort` names.
        """
        found = [run.summary() for run in self.get_runs(include_children=include_children)]
        rows = rows_of(found, sort or "", ascending=ascending)
        return Listed(rows, lambda: rows_html(rows))

    # What is known of the experiment itself -------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """An id that is this experiment's alone."""
        return experiments.id_of(self.workspace.name, self.name)

    @property
    def workspace_object(self) -> BaseWorkspace:
        """The experiment's workspace, under v1's other name."""
        return self.workspace

    @property
    def tags(self) -> dict[str, str]:
        """The experiment's labels."""
        return dict(experiments.facts_of(self.workspace.name, self.name).tags)

    @property
    def archived_time(self) -> str | None:
        """When it was archived, in ISO 8601; None if it is not."""
        return experiments.facts_of(self.workspace.name, self.name).archived or None

    def tag(self, key: str, value: Any = None) -> None:
        """Set a label, as text.

        Args:
            key: Its name.
            value: Its value; None for a label without one.
        """
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set several labels, as text; others stay.

        Args:
            tags: Their values by name.
        """
        block = experiments.facts_of(self.workspace.name, self.name)
        block.tags |= {str(key): "" if value is None else str(value) for key, value in tags.items()}
        documents.save_named(block)

    def remove_tags(self, tags: Iterable[str]) -> None:
        """Take labels off; the others stay.

        Args:
            tags: Their names.
        """
        block, gone = experiments.facts_of(self.workspace.name, self.name), set(tags)
        block.tags = {key: value for key, value in block.tags.items() if key not in gone}
        documents.save_named(block)

    def archive(self) -> None:
        """Leave the experiment out of lists of active ones; its runs stay."""
        self._archived(datetime.now(UTC).isoformat(timespec="seconds"))

    def reactivate(self, new_name: str | None = None) -> None:
        """Take the experiment back among the active ones.

        Args:
            new_name: Accepted for v1's sake; not used: an experiment keeps its name.
        """
        self._archived("")

    def _archived(self, when: str) -> None:
        block = experiments.facts_of(self.workspace.name, self.name)
        block.archived = when
        documents.save_named(block)

    def refresh(self) -> Experiment:
        """Return the experiment, which always tells what is so now.

        Returns:
            Itself.
        """
        return self

    def get_portal_url(self) -> str:
        """Return the address of the experiment's runs in Prefect's UI.

        Returns:
            A URL.
        """
        return documents.ui_url(f"/runs?tags={quote(f'experiment:{self.name}')}")

    @staticmethod
    def list(
        workspace: BaseWorkspace,
        experiment_name: str | None = None,
        view_type: str = "ActiveOnly",
        tags: Marks = None,
    ) -> _Experiments:
        """List the workspace's experiments: those that have runs, and those that have labels.

        Args:
            workspace: The workspace.
            experiment_name: Only the one of this name.
            view_type: `ActiveOnly`, `ArchivedOnly` or `All`.
            tags: Only those that have this label, or all of these labels with these values.

        Returns:
            The experiments.
        """
        known = experiments.all_facts(workspace.name)
        names = dict.fromkeys([*(run.experiment for run in known_runs(workspace)), *known])
        wanted = {"ActiveOnly": (False,), "ArchivedOnly": (True,)}.get(view_type, (True, False))
        chosen = [name for name in names if (name in known and bool(known[name].archived)) in wanted]
        found = [Experiment(workspace, name) for name in chosen if experiment_name in (None, name)]
        return [one for one in found if has_marks(known[one.name].tags if one.name in known else {}, tags)]

    @staticmethod
    def delete(workspace: BaseWorkspace, experiment_id: str) -> None:
        """Delete what is known of an experiment that has no runs.

        Args:
            workspace: The workspace.
            experiment_id: Its id.

        Raises:
            UserErrorException: There is no such experiment, or it has runs.
        """
        found = [one for one in Experiment.list(workspace, view_type="All") if one.id == experiment_id]
        if not found:
            raise UserErrorException(f"There is no experiment {experiment_id!r}", {"workspace": workspace.name})
        if next(found[0].get_runs(include_children=True), None) is not None:
            hint = "Archive it with `experiment.archive()`, or remove its runs first: `stepwell runs gc`."
            raise UserErrorException(f"The experiment {found[0].name!r} has runs", {}, hint)
        documents.delete_named(experiments.ExperimentBlock, workspace.name, found[0].name)

    def __repr__(self) -> str:
        return f"Experiment(name={self.name!r}, workspace={self.workspace.name!r})"


def _step_of(config: ScriptRunConfig | HyperDriveConfig) -> Step:
    """Return the step that runs a configuration's script, notebook or command, or searches, whenever it is submitted."""
    if isinstance(config, HyperDriveConfig):
        return HyperDriveStep("hyperdrive", config, allow_reuse=False)
    if isinstance(config, NotebookRunConfig):
        return NotebookRunnerStep(notebook_run_config=config, allow_reuse=False)
    if config.script and not config.has_command:
        return PythonScriptStep(
            config.script,
            arguments=config.arguments,
            inputs=config.data,
            runconfig=config,
            source_directory=config.source_directory,
            allow_reuse=False,
        )
    return CommandStep(runconfig=config, allow_reuse=False)


_Experiments = list[Experiment]
_Rows = list[dict[str, Any]]
"""The words for them where a method is called `list`."""


def _followed(run: PipelineRun, options: V1Submit) -> PipelineRun:
    """Return the run, at its end if `show_output` asks for that."""
    if options.get("show_output"):
        run.wait_for_completion(show_output=True)
    return run
