"""What a step's driver says before the step runs: what it would do, and what it could not do."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import ModuleType

from stepwell.blocks.store.store import Store
from stepwell.errors import StepwellError
from stepwell.flows.keys.earlier import earlier_inputs
from stepwell.model.definitions import Argument, Driver
from stepwell.model.records import Artifact, Contents, FileFacts, Known, StepCall, facts_of


def foretold(store: Store, call: StepCall) -> tuple[str, ...]:
    """Return in a sentence what the step's driver says, by its function `foretell`, of what it will do with that."""
    driver = call.definition.driver
    wanted = earlier_inputs(call.definition)
    if driver is None or not wanted or any(name not in call.inputs for name in wanted):
        return ()
    with suppress(Exception):  # what a step left may be anything, and this is only said
        foretell = getattr(_module_of(driver), "foretell", None)
        if foretell is not None:
            settings = {name: _rendered(value, call) for name, value in driver.settings.items()}
            inputs = {
                name: _contents(store, found, str(store.bring(found.digest)) if found.kept else "")
                for name, found in call.inputs.items()
            }
            words = foretell(settings, inputs)
            return (words,) if words else ()
    return ()


def refuse_mistakes(store: Store, call: StepCall, target: Iterable[str], place_of: Callable[[Artifact], str]) -> None:
    """Raise what the step's driver raises, by its function `refuse`, for what the step could not get past.

    Args:
        store: Knows the files of inputs.
        call: The step, with the inputs that are known.
        target: The names of the classes that its compute target is of.
        place_of: Returns where an input stands on this machine, '' if it does not.
    """
    driver = call.definition.driver
    refuse = getattr(_module_of(driver), "refuse", None) if driver else None
    if driver is None or refuse is None:
        return
    settings = {name: _rendered(value, call) for name, value in {**driver.hints, **driver.settings}.items()}
    inputs = {name: _contents(store, artifact, place_of(artifact)) for name, artifact in call.inputs.items()}
    step = call.definition
    script = os.path.join(step.source_directory, step.script) if step.script else ""
    known = Known(step.name, step.source_directory, script, settings, inputs, tuple(target))
    try:
        refuse(known)
    except StepwellError:
        raise
    except Exception:  # noqa: BLE001  (what it can't tell now, the run tells)
        return


def _module_of(driver: Driver) -> ModuleType | None:
    with suppress(Exception):  # it may need what only the step has
        return importlib.import_module(driver.module)
    return None


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


def _contents(store: Store, artifact: Artifact, path: str) -> Contents:
    document = artifact.dataset.document if artifact.dataset else ""
    return Contents(_Files(store, artifact.digest), document, path)
