"""Materialization of outputs at their places on datastores. What others put there stays."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from stepwell.blocks.datasets.output_registration import register_output
from stepwell.blocks.datastores.delivery import deliver
from stepwell.blocks.remote.storage_drivers.transient import is_transient
from stepwell.blocks.system.files import remove
from stepwell.blocks.system.home import make_folder
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.errors import DatastoreException, StepwellError
from stepwell.flows.engine.run_context import RunContext
from stepwell.model.definitions import DataSource, OutputPort, StepDefinition
from stepwell.model.records import BESIDE, StepRecord, is_own
from stepwell.model.tree import scan


def output_path(definition: StepDefinition, port: OutputPort, step_run_id: str) -> str:
    """Return where users of Azure ML SDK v1 find an output on its datastore."""
    is_config = port.variable == port.name and definition.switches.outputs_have_usual_destination
    usual = "dataset/{run-id}/{output-name}" if is_config else "azureml/{run-id}/{output-name}"
    template = usual if port.destination is None else port.destination
    return template.replace("{run-id}", step_run_id).replace("{output-name}", port.name)


def check_destinations(context: RunContext, definition: StepDefinition) -> None:
    """Raise DatastoreException if an output's destination is not on its datastore, or has too long a name."""
    for port in definition.outputs:
        datastore = _datastore(context, port)
        path = datastore.inside(output_path(definition, port, "0" * 36))
        if any(len(os.fsencode(part)) > 255 for part in path.split("/")):
            raise DatastoreException(
                f"The destination of output {port.name!r} has too long a name", {"path": path}, "Shorten it."
            )


def only_links(context: RunContext, definition: StepDefinition) -> bool:
    """Return whether outputs become links of their datastores, and nothing else, so that it takes no time."""
    ports = [port for port in definition.outputs if not is_own(port.name)]
    return all(port.register is None and _is_linked(context, port, _datastore(context, port)) for port in ports)


def _is_linked(context: RunContext, port: OutputPort, datastore: Datastore) -> bool:
    root = datastore.local_root
    return port.destination is None and root is not None and context.store.root.is_relative_to(root)


def materialize(context: RunContext, definition: StepDefinition, record: StepRecord, *, fresh: bool) -> None:
    """Put every output, with the right bytes, at its place on its datastore. `fresh`: it was written just now."""
    for port in definition.outputs:
        if is_own(port.name):
            continue
        artifact, datastore = record.outputs[port.name], _datastore(context, port)
        if port.destination is None and not fresh and context.store.is_delivered(record.key):
            continue
        if (root := datastore.local_root) and _is_linked(context, port, datastore):
            _link(context.store.tree_path(artifact.digest), root / output_path(definition, port, record.step_run_id))
        elif port.destination is None and context.store.shares:
            _try_to_deliver(context, definition, port, record, fresh)
        else:
            _deliver(context, definition, port, record, fresh)
    if BESIDE in record.outputs and (fresh or not context.store.is_delivered(record.key)):
        _put_beside(context, definition, record, fresh)
    _register(context, definition, record)


def _digest_now(context: RunContext, data: DataSource) -> str:
    """Return the digest of data as they are now, '' if there are none or they are far away."""
    with suppress(StepwellError, OSError):
        if context.datastore(data.datastore).local_root is not None:
            return context.digest_data(data).digest
    return ""


def place_beside(definition: StepDefinition, step_run_id: str, usual: str) -> tuple[str, str]:
    """Return the datastore and folder of what a step wrote beside its outputs: those of the first that has such a folder."""
    named = (port.datastore for port in definition.outputs if port.is_intermediate and port.mode == "mount")
    return next(named, None) or usual, f"azureml/{step_run_id}"


def _put_beside(context: RunContext, definition: StepDefinition, record: StepRecord, fresh: bool) -> None:
    name, path = place_beside(definition, record.step_run_id, context.workspace.default_datastore_name)
    datastore, tree = context.datastore(name), context.store.bring(record.outputs[BESIDE].digest)
    if datastore.local_root and context.store.root.is_relative_to(datastore.local_root):
        for file in sorted(tree.iterdir()):
            _link(file, datastore.local_root / path / file.name)
    else:
        deliver(context.store, datastore, path, scan(tree), fresh=fresh)


def _register(context: RunContext, definition: StepDefinition, record: StepRecord) -> None:
    """Let outputs become datasets of the workspace, as far as their step says so."""
    made = {}
    for port in definition.outputs:
        if port.register is not None:
            artifact = replace(
                record.outputs[port.name],
                datastore=_datastore(context, port).name,
                path=output_path(definition, port, record.step_run_id),
            )
            block = register_output(context.workspace, port.register, artifact, partial(_digest_now, context))
            made[port.name] = {"name": block.name, "version": block.version, "id": block.dataset_id}
    if made:
        context.emit({"step": definition.id, "registered": made})


def _datastore(context: RunContext, port: OutputPort) -> Datastore:
    return context.datastore(port.datastore or context.workspace.default_datastore_name)


def _link(tree: Path, place: Path) -> None:
    with suppress(OSError):  # the link is a convenience for v1's readers; the store is the truth
        target = os.path.relpath(tree, place.parent)
        if os.path.islink(place) and os.readlink(place) == target:
            return
        make_folder(place.parent)
        remove(place)
        os.symlink(target, place)


def _deliver(
    context: RunContext, definition: StepDefinition, port: OutputPort, record: StepRecord, fresh: bool
) -> None:
    artifact, datastore = record.outputs[port.name], _datastore(context, port)
    path = output_path(definition, port, record.step_run_id)
    tree = context.store.manifest(artifact.digest) or scan(context.store.bring(artifact.digest))
    fixed = port.destination is not None and "{run-id}" not in port.destination
    who = f"{context.run.runs}/{definition.name}/{port.name}" if fixed else ""
    done = deliver(context.store, datastore, path, tree, who=who, fresh=fresh, overwrite=port.overwrite)
    place = f"{datastore.name}/{path}".rstrip("/")
    if done.removed:
        context.warn(f"Removed from {place} what an earlier run put there: {_some(done.removed)}")
    if done.left:
        context.warn(
            f"Left in {place} what an earlier run put there, since it was changed or can't be removed: {_some(done.left)}"
        )


def _try_to_deliver(
    context: RunContext, definition: StepDefinition, port: OutputPort, record: StepRecord, fresh: bool
) -> None:
    """Deliver an output to its usual place, unless its datastore is away: the run goes on without, and says so once."""
    datastore = _datastore(context, port)
    if context.store.is_away and datastore.name == context.workspace.default_datastore_name:
        context.unreachable.add(datastore.name)
    if datastore.name in context.unreachable:
        return
    try:
        _deliver(context, definition, port, record, fresh)
    except DatastoreException as error:
        if error.__cause__ is None or not is_transient(error.__cause__):
            raise
        context.unreachable.add(datastore.name)


def finish_sharing(context: RunContext) -> None:
    """Wait until others have the run's results, and tell what became of that."""
    report = context.store.finish_sharing()
    for warning in report.warnings:
        context.warn(warning)
    lacks = [f"outputs are not put on {', '.join(sorted(context.unreachable))}"] if context.unreachable else []
    if report.away:
        lacks.append("results of others are not used")
    if report.waiting and report.reason:
        what = "1 result waits" if report.waiting == 1 else f"{report.waiting} results wait"
        lacks.append(f"{what} for a later run or `stepwell store push`")
    if lacks:
        reason = report.reason or "no answer"
        context.warn(f"The datastore that passes results on can't be used, so {'; '.join(lacks)}: {reason}")
    if context.store.shares:
        context.emit({"shared": report.shared, "waiting": report.waiting})


def _some(names: tuple[str, ...]) -> str:
    words = [name.encode("utf-8", "backslashreplace").decode() for name in names[:5]]
    return ", ".join(words) if len(names) <= 5 else f"{', '.join(words)} and {len(names) - 5} more"
