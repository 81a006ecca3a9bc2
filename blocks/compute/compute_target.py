"""`ComputeTarget`: compute targets of a workspace, found, saved and listed, as in v1."""

from __future__ import annotations

import abc
import ast
import importlib
import pkgutil
import re
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self, runtime_checkable

from pydantic import ValidationError

import stepwell.blocks.compute
from stepwell.blocks.arguments.checked import checked, unchecked
from stepwell.blocks.arguments.hints import Words
from stepwell.blocks.compute import base
from stepwell.blocks.compute.base import LOCAL, Compute, not_found, refuse_inside_step
from stepwell.blocks.server import documents
from stepwell.errors import ComputeTargetException, UserErrorException

if TYPE_CHECKING:
    from stepwell.blocks.workspace.base_workspace import BaseWorkspace

RESERVED = ("amlcompute", "local", "containerinstance")
"""Names that v1 keeps for itself."""


@runtime_checkable
class Attachable(Protocol):
    """A configuration as v1's `attach_configuration` of a kind of target returns it."""

    def target(self) -> Compute:
        """Return the target that it describes, not saved yet."""


Configuration = Annotated[Compute | Attachable, Words("a compute target, such as `DaskCompute(max_nodes=4)`")]


def all_kinds() -> list[type[Compute]]:
    """Return every kind of target: each stands in a module `*_compute` of this folder, or of a folder in it."""
    _import_kinds()
    return base.kinds()


@cache
def _import_kinds() -> None:
    room = stepwell.blocks.compute
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        if module.name.endswith("_compute"):
            importlib.import_module(module.name)


def targets_of(workspace: BaseWorkspace) -> dict[str, Compute]:
    """Return the workspace's compute targets by name: one of each kind with its defaults, and those that were saved."""
    known = all_kinds()
    defaults = [kind for kind in known if kind.default_name]
    found = {kind.default_name: kind(workspace=workspace.name, name=kind.default_name) for kind in defaults}
    return {**found, **{target.name: target for target in documents.load_any(known, workspace=workspace.name)}}


# Targets that were never saved ------------------------------------------------------------------------------------------


def name_of(target: object) -> str:
    """Return the name by which a step asks for its target; one that was never saved is named by its settings.

    Such a name, `DaskCompute(max_nodes=2)` for one, travels wherever the step does. Raise UserErrorException if the
    settings hold a secret, which would travel with it.
    """
    if not isinstance(target, Compute) or target.workspace:
        return str(getattr(target, "name", target))
    shown = {name: value for name, value in target.settings().items() if name in target.model_fields_set}
    if "***" in str(shown):
        raise UserErrorException(
            f"A {target.type} with a secret among its settings has to be saved before a step names it",
            hint="Save it with `ComputeTarget.attach(workspace, name, target)`.",
        )
    if not shown and target.default_name == LOCAL:
        return LOCAL
    return f"{target.type}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def unsaved(workspace: str, name: str) -> Compute | None:
    """Return the target that a name made of settings describes; None if it is no such name."""
    try:
        call = ast.parse(name, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            return None
        kind = {known.__name__: known for known in all_kinds()}[call.func.id]
        settings = {str(given.arg): ast.literal_eval(given.value) for given in call.keywords}
        with unchecked():
            return kind(**{**settings, "workspace": workspace, "name": name})
    except (SyntaxError, ValueError, KeyError, RecursionError, ValidationError):
        return None


@checked
class ComputeTarget(abc.ABC):  # noqa: B024  (abstract for `register`: every Compute counts as one)
    """The compute targets of a workspace. `ComputeTarget(ws, name)` is one of them; every target is an instance."""

    def __new__(cls, workspace: BaseWorkspace, name: str) -> Compute:  # type: ignore[misc]  # (as v1: the concrete target)
        """Return the workspace's compute target of that name, as `get` does.

        Args:
            workspace: The workspace to look in.
            name: The target's name.

        Returns:
            The concrete target, as in Azure ML SDK v1.

        Raises:
            ComputeTargetException: There is no target of that name.
        """
        return cls.get(workspace, name)

    @staticmethod
    def get(workspace: BaseWorkspace, name: str) -> Compute:
        """Return the workspace's compute target of that name.

        Args:
            workspace: The workspace to look in.
            name: The target's name.

        Returns:
            The concrete target, such as a `DaskCompute`.

        Raises:
            ComputeTargetException: There is no target of that name.
        """
        targets = targets_of(workspace)
        if name not in targets:
            raise not_found(workspace.name, name, targets)
        return targets[name]

    @staticmethod
    def list(workspace: BaseWorkspace) -> list[Compute]:
        """Return the workspace's compute targets.

        Args:
            workspace: The workspace to look in.

        Returns:
            One target of each kind with its defaults, and those that were saved.
        """
        return [*targets_of(workspace).values()]

    @classmethod
    def create(cls, workspace: BaseWorkspace, name: str, provisioning_configuration: Configuration) -> Compute:
        """Save a new target under `name`, or give these settings to the target of the same kind that has the name.

        Args:
            workspace: The workspace that the target will belong to.
            name: 2 to 64 letters, digits, `-` and `_`, a letter first; not one of v1's reserved names.
            provisioning_configuration: `AmlCompute.provisioning_configuration(...)`, or a target such as
                `DaskCompute(max_nodes=4)`, which is copied.

        Returns:
            The saved target.

        Raises:
            UserErrorException: The name can't be used, or the configuration describes no target.
            ComputeTargetException: A target of another kind has the name, or a step called it.
        """
        return cls._save(workspace, name, provisioning_configuration, "create")

    @classmethod
    def attach(cls, workspace: BaseWorkspace, name: str, attach_configuration: Configuration) -> Compute:
        """Save a target for something that exists, such as `DaskCompute(address="tcp://…")`, under `name`.

        Args:
            workspace: The workspace that the target will belong to.
            name: 2 to 64 letters, digits, `-` and `_`, a letter first; not one of v1's reserved names.
            attach_configuration: A target, which is copied, or an object whose `target()` returns one.

        Returns:
            The saved target.

        Raises:
            UserErrorException: The name can't be used, or the configuration describes no target.
            ComputeTargetException: A target of another kind has the name, or a step called it.
        """
        return cls._save(workspace, name, attach_configuration, "attach")

    @staticmethod
    def _save(workspace: BaseWorkspace, name: str, configuration: object, action: str) -> Compute:
        refuse_inside_step(action)
        check_name(name)
        wanted = configuration.target() if isinstance(configuration, Attachable) else configuration
        if not isinstance(wanted, Compute):
            raise UserErrorException(
                f"A {type(wanted).__name__} does not describe a compute target",
                hint="Pass `AmlCompute.provisioning_configuration(...)`, or a target such as `DaskCompute(...)`.",
            )
        _refuse_other_kind(workspace, name, wanted)
        return _copy(wanted).attach_to(workspace, name)


ComputeTarget.register(Compute)  # type: ignore[type-abstract]


@checked
class FoundByName(Compute, abc.ABC):
    """A target that `Kind(workspace, name)` finds, and `Kind(setting=…)` makes."""

    def __new__(cls, workspace: BaseWorkspace | str = "", name: str = "", **fields: Any) -> Self:
        """Return the workspace's target of that name, of any kind, as in v1; without a workspace, a new one of this kind.

        Args:
            workspace: The workspace to look in, or the name of a new target's workspace.
            name: The target's name.
            **fields: Settings of a new target, by attribute.

        Returns:
            The target.

        Raises:
            ComputeTargetException: The workspace has no target of that name.
        """
        if isinstance(workspace, str):
            return super().__new__(cls, **fields)
        return ComputeTarget.get(workspace, name)  # type: ignore[return-value]

    def __init__(self, workspace: BaseWorkspace | str = "", name: str = "", **fields: Any) -> None:
        if isinstance(workspace, str):
            super().__init__(workspace=workspace, name=name, **fields)


def check_name(name: object) -> None:
    """Raise UserErrorException for what can't name a new target."""
    if isinstance(name, str) and name.lower() in RESERVED:
        raise UserErrorException(
            f"The compute target name {name!r} is reserved",
            {"reserved": ", ".join(RESERVED)},
            "Choose another name.",
        )
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])", name):
        raise UserErrorException(
            f"{name!r} can't name a compute target",
            hint="Use 2 to 64 letters, digits, '-' and '_', a letter first, a letter or digit last.",
        )


def _refuse_other_kind(workspace: BaseWorkspace, name: str, wanted: Compute) -> None:
    known = targets_of(workspace).get(name)
    builtin = known is not None and known._block_document_id is None  # noqa: SLF001  (Prefect has no public word for it)
    if known is not None and not builtin and type(known) is not type(wanted):
        raise ComputeTargetException(
            f"A compute target {name!r} of another type exists already",
            {"workspace": workspace.name, "it is a": known.type, "asked for": wanted.type},
            "Choose another name, or delete that target first.",
        )


def _copy(target: Compute) -> Compute:
    """Return a target of its own with the same settings, not saved yet."""
    kind = type(target)
    own = set(kind.model_fields) - {"workspace", "name"}
    with unchecked():  # its settings may be older than the checks
        return kind(**{field: getattr(target, field) for field in own})
