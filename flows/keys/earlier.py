"""What an earlier execution of a step left, one that differs in the content of some inputs at most; never part of a key."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from stepwell.blocks.store.store import Store
from stepwell.blocks.system.locks import shared
from stepwell.model.definitions import Argument, EarlierSource, StepDefinition
from stepwell.model.fingerprint import Fingerprint, Row
from stepwell.model.records import Artifact, Contents, FileFacts, StepCall, StepRecord, facts_of
from stepwell.model.tree import Tree

_OF_CONTENT = ("input", "order")


def with_earlier(store: Store, call: StepCall, *, anew: bool) -> StepCall:
    """Return the call with what its step asks for of an earlier execution: the latest that is intact.

    It gets empty folders if there is none, or `anew`.
    """
    wanted = _wanted(call.definition)
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


def foretold(store: Store, call: StepCall) -> tuple[str, ...]:
    """Return in a sentence what the step's driver says, by its function `foretell`, of what it will do with that."""
    driver = call.definition.driver
    wanted = _wanted(call.definition)
    if driver is None or not wanted or any(name not in call.inputs for name in wanted):
        return ()
    with suppress(Exception):  # what a step left may be anything, and this is only said
        foretell = getattr(importlib.import_module(driver.module), "foretell", None)
        if foretell is not None:
            settings = {name: _rendered(value, call) for name, value in driver.settings.items()}
            words = foretell(settings, {name: _contents(store, found) for name, found in call.inputs.items()})
            return (words,) if words else ()
    return ()


def _wanted(step: StepDefinition) -> dict[str, EarlierSource]:
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


def _rendered(argument: Argument, call: StepCall) -> str:
    values = {"parameter": call.parameters}
    return "".join(
        piece.value if piece.kind == "text" else values.get(piece.kind, {}).get(piece.value, "") for piece in argument
    )


class _Files:
    """The files of an input as the host knows them, read when they are asked for."""

    def __init__(self, store: Store, digest: str) -> None:
        self._store, self._digest = store, digest

    def __iter__(self) -> Iterator[FileFacts]:
        tree = self._store.manifest(self._digest)
        return facts_of(tree.entries if tree else ())


def _contents(store: Store, artifact: Artifact) -> Contents:
    document = artifact.dataset.document if artifact.dataset else ""
    path = str(store.bring(artifact.digest)) if artifact.kept else ""
    return Contents(_Files(store, artifact.digest), document, path)
