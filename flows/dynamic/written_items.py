"""What a step of a user's own flow is mapped over: the files and folders in what another step wrote, which Python has in hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import UserErrorException
from stepwell.flows.dynamic.findings import entries_in
from stepwell.model.definitions import StepDefinition
from stepwell.model.records import Artifact, WrittenItems
from stepwell.model.tree import scan


def written_items(bound: Mapping[str, Any], *, others: bool) -> dict[str, WrittenItems]:
    """Return what of the bindings is mapped over of what steps wrote, by input.

    `others`: there is something else to map over, so that outputs are the same for each unless they say otherwise.
    """
    asked = {name: value for name, value in bound.items() if isinstance(value, WrittenItems)}
    if asked or others:
        return asked
    return {name: value.items() for name, value in bound.items() if isinstance(value, Artifact)}


def listed(step: StepDefinition, items: Mapping[str, WrittenItems]) -> list[str]:
    """Return the paths of the items, which outputs that are mapped over together have in common."""
    found = {name: _listed(step, name, of) for name, of in items.items()}
    first, *others = found.values()
    if only := sorted({path for other in others for path in set(first) ^ set(other)}):
        raise UserErrorException(
            f"The outputs that the step {step.name!r} is mapped over do not belong together",
            {**{name: len(paths) for name, paths in found.items()}, "only in one": ", ".join(only[:10])},
            "Map it over outputs whose files have the same names, and mark with `prefect.unmapped(…)` what is the same for each.",
        )
    return first


def _listed(step: StepDefinition, name: str, items: WrittenItems) -> list[str]:
    if name not in {port.name for port in step.inputs}:
        raise UserErrorException(
            f"The parameter {name!r} of step {step.name!r} can't be mapped over files",
            hint="Pass a list of values, which Python reads from the file, or name an input.",
        )
    store = BaseWorkspace.get(items.artifact.workspace).store
    tree = store.manifest(items.artifact.digest) or scan(store.bring(items.artifact.digest))
    if tree.is_file:
        raise UserErrorException(
            f"The step {step.name!r} is mapped over a file, and has to be over a folder",
            {"input": name, "path": items.artifact.path},
            "Let the step that writes it make a folder there, or use `submit`.",
        )
    return entries_in(tree, items.pattern)


def for_item(step: StepDefinition, inputs: Sequence[str], path: str) -> StepDefinition:
    """Return the step that gets the one item at a path, in place of all that these inputs hold."""
    return replace(
        step,
        id=f"{step.id}[{path}]",
        name=f"{step.name}[{path}]",
        inputs=tuple(replace(port, entry=path) if port.name in inputs else port for port in step.inputs),
    )
