"""What steps wrote in scratch folders, of which no store knows, told to the steps after them as records would tell it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from stepwell.blocks.store.run_folder import Event
from stepwell.blocks.system.files import copy_tree
from stepwell.model.definitions import OutputSource, StepDefinition
from stepwell.model.records import Artifact
from stepwell.model.tree import Tree, scan


class FreshRecord(NamedTuple):
    """What a step logged and wrote."""

    metrics: tuple[Event, ...]
    outputs: Mapping[str, Artifact]


class FreshResults:
    """The outputs and metrics of steps that ran in scratch folders, and which steps did not run.

    Args:
        folder: An empty folder, for what is joined of several outputs or a part of one.
    """

    def __init__(self, folder: Path) -> None:
        self.written: dict[str, dict[str, Path]] = {}
        self.records: dict[str, FreshRecord] = {}
        self.skipped: list[str] = []
        self._folder = folder
        self._places: dict[str, Path] = {}
        self._count = 0

    def add(self, step: str, written: Mapping[str, Path], events: Iterable[Event] = ()) -> None:
        """Note what a step wrote and logged."""
        self.written[step] = dict(written)
        outputs = {name: scanned(path) for name, path in written.items()}
        self._places |= {artifact.digest: written[name] for name, artifact in outputs.items()}
        self.records[step] = FreshRecord(tuple(events), outputs)

    def lacking(self, step: StepDefinition) -> str:
        """Return a step that this one needs and that did not end well, '' if there is none."""
        return next((name for name in step.upstream if name not in self.written and name not in self.skipped), "")

    def join(self, step: StepDefinition) -> None:
        """Note as written by a step that joins items' outputs the folders of them."""
        found = {port.name: self._new_folder() for port in step.outputs}
        for port in step.inputs:
            output, _, path = port.name.partition("/")
            if isinstance(port.source, OutputSource):
                (found[output] / path).parent.mkdir(parents=True, exist_ok=True)
                copy_tree(self.path_of(port.source), found[output] / path)
        self.add(step.id, found)

    def path_of(self, source: OutputSource) -> Path:
        """Return where an output stands: an empty folder if its step was skipped."""
        return self.written[source.step][source.output] if source.step in self.written else self._new_folder()

    def part(self, path: Path, entry: str) -> Path:
        """Return a folder that has of another one only what stands at `entry`, at the same path."""
        folder = self._new_folder()
        (folder / entry).parent.mkdir(parents=True, exist_ok=True)
        copy_tree(path / entry, folder / entry)
        return folder

    def _new_folder(self) -> Path:
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir(parents=True)
        return folder

    # What findings ask of a store ---------------------------------------------------------------------------------------

    def manifest(self, digest: str) -> Tree | None:
        """Return what an output consists of."""
        return scan(self._places[digest])

    def bring(self, digest: str) -> Path:
        """Return where an output stands."""
        return self._places[digest]


def scanned(path: Path) -> Artifact:
    """Return what stands at a path, by its content."""
    tree = scan(path)
    return Artifact("", "", tree.digest, tree.size, kept=True)
