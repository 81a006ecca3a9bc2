"""`StepRun` and `PipelineRun` as a script has them: the steps of its run, as far as they have come, and that run itself."""

from __future__ import annotations

import os

from stepwell.errors import ModelPathNotFoundException, UserErrorException
from stepwell.script import channel
from stepwell.script.metrics import metrics_of
from stepwell.script.run import Run
from stepwell.script.workspace.public_names import Narrow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_REFUSED = ("log", "tag", "set_tags", "add_properties", "upload_file", "upload_folder", "child_run", "complete", "fail")


class StepRun(Narrow):
    """A step of the run."""

    def __init__(self, facts: dict[str, str]) -> None:
        self._facts = facts
        self._received = ""

    @classmethod
    def found(cls, name: str | None = None) -> list[StepRun]:
        """Return the steps of the run that have a name or id, by default all."""
        answer = channel.ask("run.children") if name is None else channel.ask("run.find_step_run", name=name)
        return [cls(facts) for facts in answer["steps"]]

    @property
    def id(self) -> str:
        """The id of its run; '' as long as it has not begun."""
        return self._facts["id"]

    @property
    def name(self) -> str:
        """The step's name."""
        return self._facts["name"]

    display_name = name

    @property
    def type(self) -> str:
        """`azureml.StepRun`, as in v1."""
        return "azureml.StepRun"

    @property
    def parent(self) -> Any:
        """The pipeline run, whose step it is."""
        return Run.get_context().parent

    @property
    def experiment(self) -> Any:
        """The experiment of the pipeline run."""
        return self.parent.experiment

    @property
    def status(self) -> str:
        """How far it is, as v1's `Run.status` says it: `Completed` where `get_status` says `Finished`."""
        status = self.get_status()
        return "Completed" if status == "Finished" else status

    def get_status(self) -> str:
        """Return how far it is: `NotStarted`, `Queued`, `Running`, `Finished`, `Failed` or `Canceled`."""
        return str(channel.ask("run.status", step=self._facts["step"]))

    def get_metrics(
        self, name: str | None = None, recursive: bool = False, run_type: object = None, populate: bool = False
    ) -> dict[str, Any]:
        """Return what it logged so far, or that of one name."""
        events = channel.ask("run.metrics", step=self._facts["step"], name=name)["events"]
        metrics: dict[str, Any] = metrics_of([{**event, "scope": "step"} for event in events], "step")
        return metrics

    def get_tags(self) -> dict[str, Any]:
        """Return its tags."""
        return dict(channel.ask("run.tags", step=self._facts["step"])["tags"])

    def get_properties(self) -> dict[str, Any]:
        """Return its properties."""
        return dict(channel.ask("run.properties", step=self._facts["step"])["properties"])

    @property
    def tags(self) -> dict[str, Any]:
        """Its tags."""
        return self.get_tags()

    @property
    def properties(self) -> dict[str, Any]:
        """Its properties."""
        return self.get_properties()

    def get_file_names(self) -> list[str]:
        """Return the names of the files that it left in `outputs/` and `logs/`, or uploaded."""
        root = self._kept
        found = ((folder, name) for folder, _, names in os.walk(root) for name in names)
        return sorted(os.path.relpath(os.path.join(folder, name), root) for folder, name in found)

    def download_file(self, name: str, output_file_path: str | None = None, _validate_checksum: bool = False) -> None:
        """Copy one of its files, by default under its last name to the current directory."""
        from shutil import copyfile

        if name not in self.get_file_names():
            raise UserErrorException(
                "The step left no such file", {"name": name, "files": ", ".join(self.get_file_names()) or "none"}
            )
        target = output_file_path or os.path.basename(name)
        if os.path.isdir(target):
            target = os.path.join(target, os.path.basename(name))
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        copyfile(os.path.join(self._kept, name), target)

    def register_model(
        self,
        model_name: str,
        model_path: str | None = None,
        tags: Any = None,
        properties: Any = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        description: str | None = None,
        datasets: Any = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Any = None,
    ) -> Any:
        """Keep a file or folder that it left as the next version of a model."""
        from stepwell.script.workspace.model import Model

        wanted = os.path.normpath(model_path or model_name)
        if not any(name == wanted or name.startswith(f"{wanted}/") for name in self.get_file_names()):
            raise ModelPathNotFoundException(
                f"The step left no file {wanted!r}", {"step": self.name}, "List the files with `get_file_names()`."
            )
        return Model.register(
            self.experiment.workspace,
            os.path.join(self._kept, wanted),
            model_name,
            tags=tags,
            properties=properties,
            description=description,
            model_framework=model_framework,
            model_framework_version=model_framework_version,
        )

    @property
    def _kept(self) -> str:
        """The folder of its files, handed over once."""
        if not self._received:
            self._received = channel.receive("run.files", step=self._facts["step"])
        return self._received

    def get_details(self) -> dict[str, Any]:
        """Return id, status, tags and properties, under v1's names."""
        return {
            "runId": self.id,
            "status": self.status,
            "properties": self.get_properties(),
            "tags": self.get_tags(),
            "inputDatasets": [],
            "outputDatasets": [],
            "logFiles": {},
        }

    def __getattr__(self, name: str) -> Any:
        if name.startswith("log_") or name in _REFUSED:
            _refuse(self.name)
        return super().__getattr__(name)

    def __repr__(self) -> str:
        return f"Run(Experiment: {self.experiment.name}, Id: {self.id}, Type: {self.type}, Status: {self.status})"


class PipelineRun(Run):
    """The pipeline run of the script, or the script's own run, by its id."""

    def __init__(self, experiment: Any, run_id: str, *_: object, **__: object) -> None:
        own = Run.get_context()
        super().__init__(own._log, run_id, "step" if run_id == own.id else "parent")  # noqa: SLF001  (of its own kind)

    @staticmethod
    def get(workspace: Any, run_id: str) -> Any:
        """Return the pipeline run, or a step of it; raise UserErrorException for any other run."""
        own = Run.get_context()
        if run_id in (own.id, own.parent and own.parent.id):
            return PipelineRun(None, run_id)
        steps = StepRun.found(run_id)
        if not steps:
            raise UserErrorException(
                "A step reaches its own pipeline run and the steps of it only",
                {"asked for": run_id},
                "Pass the id of one of these, as `run.parent.id`.",
            )
        return steps[0]


def _refuse(name: str) -> NoReturn:
    raise UserErrorException(
        "A script can't change what another step logged",
        {"step": name},
        "Log to the run of the script itself, or to its parent.",
    )
