"""The interface of compute targets: a target takes a job and returns how it finished."""

from __future__ import annotations

import abc
import inspect
import json
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, SecretStr, ValidationError

from stepwell.blocks.arguments.checked import checked, is_checking, refuse_mistyped, refuse_unknown
from stepwell.blocks.compute.job import Job  # the hint of `prepare` is read at runtime
from stepwell.blocks.compute.memory_size import refuse_tiny
from stepwell.blocks.compute.status import SUCCEEDED, ComputeStatus, NodeCounts, ScaleSettings
from stepwell.blocks.server import documents
from stepwell.errors import ComputeTargetException, UserErrorException
from stepwell.model.redaction import is_secret_name

if TYPE_CHECKING:
    from stepwell.blocks.compute.job import Finished
    from stepwell.blocks.processes.output import OnOutput, Redact
    from stepwell.blocks.processes.runner import StopSignal
    from stepwell.blocks.workspace.base_workspace import BaseWorkspace
    from stepwell.model.definitions import StepDefinition

LOCAL = "local"
"""The name of the compute target that steps run on unless they say otherwise: processes on this machine."""


@checked
class Compute(documents.NamedBlock, abc.ABC):
    """Where steps run. A new kind is one file `*_compute.py` with one subclass.

    Every workspace has a target of each kind, with its defaults, under the kind's `default_name`, unless that is empty.

    Attributes:
        workspace: The name of the workspace that the target belongs to; set when it is attached.
        name: The target's name in the workspace; set when it is attached.
        location: As in Azure ML SDK v1; kept, not used.
        tags: Free labels, by name.
        max_concurrent: How many steps of a pipeline run at once.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell Compute Target"
    default_name: ClassVar[str] = ""
    inherits_packages: ClassVar[bool] = False
    """Whether steps without packages of their own find those of the interpreter in use, as it is on this machine."""

    follows_links: ClassVar[bool] = False
    """Whether steps find what links in their data lead to, wherever on this machine; else they get copies without links."""

    uses_images: ClassVar[bool] = False
    """Whether the image of a step's environment counts there."""

    @property
    def reaches_network(self) -> bool:
        """Whether steps reach the network of the machine that they run on."""
        return True

    workspace: str = Field(default="", description="The workspace that the target belongs to.")
    name: str = Field(default="", description="The target's name.")
    location: str = Field(default="", description="Kept for users of Azure ML; not needed.")
    tags: dict[str, str] = Field(default_factory=dict, description="Free labels.")
    max_concurrent: int = Field(default=64, ge=1, description="How many steps of a pipeline run at once.")

    if not TYPE_CHECKING:  # type checkers know the fields

        def __new__(cls, *unnamed: Any, **fields: Any) -> Self:
            """Refuse settings without their names in a sentence."""
            if unnamed:
                hint = f"Name them, as in `{cls.__name__}(max_concurrent=2)`."
                raise UserErrorException(f"{cls.__name__} takes no arguments without their names", hint=hint)
            return super().__new__(cls, **fields)

        def __init__(self, **fields: Any) -> None:
            if not is_checking():
                super().__init__(**fields)
                return
            own = type(self).model_fields
            fields = {name: value for name, value in fields.items() if name != "block_type_slug"}
            refuse_unknown(self.type, fields, own)
            for name, value in fields.items():
                refuse_mistyped(self.type, name, value, own[name].annotation)
                if name.startswith("memory") and isinstance(value, int):
                    refuse_tiny(f"`{name}` of {self.type}", value)
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise _out_of_range(self.type, error) from None

    @abc.abstractmethod
    def run(self, job: Job, on_output: OnOutput, stop: StopSignal, redact: Redact) -> Finished:
        """Run the job to its end, pass its output on as it comes, and write it to the job's logs.

        Args:
            job: The step call, with its snapshot, inputs and folders on this machine.
            on_output: Called with each piece of the script's output while it runs.
            stop: Signal that ends the job once it is raised.
            redact: Returns a text without the secrets in it; applied to all that is logged or passed on.

        Returns:
            How the process ended, and where its outputs stand on this machine.

        Raises:
            ComputeTargetException: The target can't be reached.
        """

    def check(self, step: StepDefinition) -> None:
        """Raise ComputeTargetException if the target could never run the step; starts and connects to nothing.

        Args:
            step: The definition of the step.

        Raises:
            ComputeTargetException: The step needs what the target doesn't have.
        """

    def prepare(self, job: Job) -> Any:
        """Make ready what the job needs, before its turn, if that costs little.

        Args:
            job: The step call, with its snapshot, inputs and folders on this machine.

        Returns:
            What `run` finds in the job's `ready`, with a method `close` for a job whose turn never comes; None for nothing.
        """
        return None

    def with_contents(self, step: StepDefinition) -> StepDefinition:
        """Return the step, told what its result depends on and only the target sees, such as a notebook that it has.

        Args:
            step: The definition of the step.

        Returns:
            The definition; what is told in it becomes part of the key.

        Raises:
            ComputeTargetException: It can't be seen.
        """
        return step

    def ready(self) -> None:
        """Raise ComputeTargetException if the target lacks what it needs; called when a step is sure to run.

        Raises:
            ComputeTargetException: Something that the target needs is missing or can't be reached.
        """

    def capacity(self) -> Mapping[str, float]:
        """Return how much of each resource the steps of one pipeline may take at once.

        Returns:
            Amounts by resource: `steps` always, and others such as `cpus` or `memory` (bytes) where they are counted.
        """
        return {"steps": self.max_concurrent}

    def demand(self, step: StepDefinition) -> Mapping[str, float]:
        """Return how much of each resource of `capacity` the step takes.

        Args:
            step: The definition of the step.

        Returns:
            Amounts by resource, in the units of `capacity`.
        """
        return {"steps": 1}

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values of its secret settings, which no log may show."""
        held = (getattr(self, name) for name in type(self).model_fields)
        return tuple(text for value in held if isinstance(value, SecretStr) and (text := value.get_secret_value()))

    @property
    def type(self) -> str:
        """The kind of target, such as `LocalCompute`."""
        return type(self).__name__

    # As v1's users manage it ------------------------------------------------------------------------------------------

    def attach_to(self, workspace: BaseWorkspace, name: str) -> Self:
        """Save this target in the workspace under `name`.

        Args:
            workspace: The workspace that the target will belong to.
            name: The name under which steps refer to the target.

        Returns:
            This target.

        Raises:
            ComputeTargetException: A step called it; steps don't manage targets.
        """
        refuse_inside_step("attach")
        self.workspace, self.name = workspace.name, name
        documents.save_named(self)
        return self

    def delete(self) -> None:  # type: ignore[override]  # (Prefect's own takes the name of a document)
        """Remove the target from its workspace; results of its steps stay.

        Raises:
            ComputeTargetException: There is no such target, every workspace has it, or a step called it.
        """
        refuse_inside_step("delete")
        if documents.delete_named(type(self), self.workspace, self.name):
            return
        if self.name == self.default_name:
            title, hint = f"The compute target {self.name!r} is one that every workspace has", "Leave it as it is."
            raise ComputeTargetException(title, {"workspace": self.workspace}, hint)
        raise not_found(self.workspace, self.name)

    def detach(self) -> None:
        """Remove the target from its workspace; what it stands for, such as a cluster at an address, stays.

        Raises:
            ComputeTargetException: There is no such target, every workspace has it, or a step called it.
        """
        self.delete()

    @property
    def id(self) -> str:
        """The path that identifies the target on its server."""
        return f"/workspaces/{self.workspace}/computes/{self.name}"

    @property
    def provisioning_state(self) -> str:
        """`Succeeded`: a target is ready as soon as it is saved."""
        return SUCCEEDED

    @property
    def scale_settings(self) -> ScaleSettings:
        """The fewest and the most nodes that it may have."""
        return ScaleSettings()

    def node_counts(self) -> NodeCounts:
        """Return the nodes that this process has of it; starts and connects to nothing.

        Returns:
            How many nodes there are, should be, and run a step.
        """
        return NodeCounts()

    @property
    def status(self) -> ComputeStatus:
        """The state of the target now. Reading it starts nothing."""
        created, modified = documents.saved_at(self)
        return ComputeStatus(self.node_counts(), self.scale_settings, created, modified)

    def get_status(self) -> ComputeStatus:
        """Return the state of the target now, as `status` does.

        Returns:
            Node counts, limits, and times of creation and change.
        """
        return self.status

    def refresh_state(self) -> None:
        """Read the settings again as they are saved now.

        Raises:
            ComputeTargetException: The target is gone from the workspace.
        """
        saved = documents.load_named(type(self), self.workspace, self.name)
        if saved is not None:
            for name in type(self).model_fields:
                setattr(self, name, getattr(saved, name))
        elif self.name != self.default_name:
            raise not_found(self.workspace, self.name)

    def wait_for_completion(
        self,
        show_output: bool = False,
        min_node_count: int | str | None = None,
        timeout_in_minutes: float | str = 25,
        is_delete_operation: bool = False,
    ) -> None:
        """Wait until the target is ready, which it is as soon as it is saved.

        Args:
            show_output: Whether to print v1's lines.
            min_node_count: Accepted for v1's sake; not used.
            timeout_in_minutes: Accepted for v1's sake; not used.
            is_delete_operation: Accepted for v1's sake; not used.

        Raises:
            ComputeTargetException: A step called it.
        """
        refuse_inside_step("wait for")
        if show_output:
            print(f'{SUCCEEDED}\nProvisioning operation finished, operation "{SUCCEEDED}"')

    def settings(self) -> dict[str, Any]:
        """Return the settings as plain values, without secrets.

        Returns:
            The settings by name; `***` where a name sounds secret.
        """
        own = set(type(self).model_fields) - {"workspace", "name", "location", "tags"}
        plain = json.loads(self.model_dump_json(include=own))
        return {name: _redacted(name, value) for name, value in plain.items() if name in own}

    def serialize(self) -> dict[str, Any]:
        """Return what is known of the target as plain values, without secrets.

        Returns:
            A dict that JSON can hold, with v1's keys; `properties` has the settings.
        """
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "workspace": self.workspace,
            "location": self.location,
            "tags": dict(self.tags),
            "provisioningState": self.provisioning_state,
            "properties": self.settings(),
        }


def _out_of_range(kind: str, error: ValidationError) -> UserErrorException:
    wrong = error.errors()[0]
    said = wrong["msg"].removeprefix("Input ").removeprefix("String ").replace("should", "must", 1)
    title = f"`{'.'.join(map(str, wrong['loc']))}` of {kind} {said}, not {wrong['input']!r}"
    return UserErrorException(title, hint="Correct the value.")


def _redacted(name: str, value: Any) -> Any:
    """Return the plain value with `***` for whatever has a name that sounds secret."""
    if isinstance(value, dict):
        return {inner: _redacted(inner, item) for inner, item in value.items()}
    if isinstance(value, list):
        return [_redacted(name, item) for item in value]
    return "***" if value and isinstance(value, str) and is_secret_name(name) and not name.startswith("tls_") else value


def refuse_inside_step(action: str) -> None:
    """Raise ComputeTargetException in the process of a step: steps don't manage what they run on."""
    if os.environ.get("AZUREML_RUN_ID") and os.environ.get("STEPWELL_CONTROL"):
        raise ComputeTargetException(
            f"AuthenticationFailed: a step can't {action} compute targets",
            {"step run": os.environ["AZUREML_RUN_ID"]},
            "Manage compute targets where the pipeline is submitted.",
        )


def kinds() -> list[type[Compute]]:
    """Return every kind of target that is imported, each once."""
    found: dict[type[Compute], None] = {}
    waiting = [Compute]
    while waiting:
        subclasses = waiting.pop(0).__subclasses__()
        waiting += subclasses
        found |= dict.fromkeys(kind for kind in subclasses if not inspect.isabstract(kind))
    return [*found]


def not_found(workspace: str, name: str, known: Iterable[str] = ()) -> ComputeTargetException:
    """Return the error that v1 raises for a name that no target has."""
    targets = {"targets": ", ".join(known)} if known else {}
    return ComputeTargetException(
        f"ComputeTargetNotFound: Compute Target with name {name} not found in provided workspace",
        {"workspace": workspace, **targets},
        "Choose one of the workspace's targets, or attach a new one.",
    )
