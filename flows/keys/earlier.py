"""What an earlier execution of a step left, one that differs in the content of some inputs at most; never part of a key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from stepwell.blocks.store.store import Store
from stepwell.blocks.system.locks import shared
from stepwell.model.definitions import EarlierSource, StepDefinition
from stepwell.model.fingerprint import Fingerprint, Row
from stepwell.model.records import Artifact, StepCall, StepRecord
from stepwell.model.tree import Tree

_OF_CONTENT = ("input", "order")


def with_earlier(store: Store, call: StepCall, *, anew: bool) -> StepCall:
    """Return the call with what its step asks for of an earlier execution: the latest that is intact.

    It gets empty folders if there is none, or `anew`.
    """
    wanted = earlier_inputs(call.definition)
    if not wanted:
        return call
    varying = {name for source in wanted.values() for name in source.varying}
    record = None if anew else _latest(store, call.fingerprint, varying, {source.written for source in wanted.values()})
    if record is None:
        nothing = empty_folder(store)
        found = dict.fromkeys(wanted, nothing)
    else:
        found = {name: record.outputs[source.written] for name, source in wanted.items()}
    return replace(call, inputs={**call.inputs, **found})


def earlier_inputs(step: StepDefinition) -> dict[str, EarlierSource]:
    """Return what a step asks for of an earlier execution, by the names of these inputs."""
    return {port.name: port.source for port in step.inputs if isinstance(port.source, EarlierSource)}


def _latest(store: Store, fingerprint: Fingerprint, varying: set[str], outputs: Iterable[str]) -> StepRecord | None:
    rows = _fixed(fingerprint, varying)
    found = [
        record
        for record in store.alike(fingerprint)
        if _fixed(record.fingerprint, varying) == rows and all(name in record.outputs for name in outputs)
    ]
    for record in sorted(found, key=lambda record: record.started, reverse=True):
        checked = store.lookup(record.key)
        if isinstance(checked, StepRecord):
            return checked
    return None


def _fixed(fingerprint: Fingerprint, varying: set[str]) -> set[Row]:
    """Return the rows that have to be the same, so that what was left is good for the step."""
    return {
        row for row in fingerprint.rows if not (row.is_absence or (row.kind in _OF_CONTENT and row.name in varying))
    }


def empty_folder(store: Store) -> Artifact:
    """Return an empty folder that the store keeps."""
    nothing = Tree(())
    with shared(store.lock_file):
        store.add_tree(store.scratch_folder(), nothing, move=True)
    return Artifact("", "", nothing.digest, 0, kept=True)
