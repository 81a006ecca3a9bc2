"""The context that the steps of one run share: workspace, store, snapshots, data, compute targets, stop signal."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from prefect.settings import get_current_settings

from stepwell.blocks.compute.base import Compute, not_found
from stepwell.blocks.compute.compute_target import targets_of, unsaved
from stepwell.blocks.environments.packages import Packages
from stepwell.blocks.processes.runner import StopSignal
from stepwell.blocks.remote.remote_store import RemoteStore
from stepwell.blocks.server.connection import ensure_server
from stepwell.blocks.store.run_folder import TEXTS, Event, RunFolder
from stepwell.blocks.system.files import remove
from stepwell.blocks.system.home import home
from stepwell.blocks.system.own_places import OwnPlaces
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.blocks.workspace.keyvault import held_secrets
from stepwell.blocks.workspace.results import ResultsBlock, results_block
from stepwell.errors import DatastoreException
from stepwell.flows.engine.run_data import RunData
from stepwell.flows.engine.run_sources import frozen_places
from stepwell.flows.keys.as_installed import as_installed, differences
from stepwell.flows.keys.binding import bind, relied_on, with_reads
from stepwell.flows.keys.earlier import with_earlier
from stepwell.flows.keys.environment_rows import is_imported, with_imported
from stepwell.flows.keys.missing_data import NoData
from stepwell.flows.keys.named_keys import files_of_keys, tree_without
from stepwell.flows.keys.secret_values import LateRedaction, declared_secrets, redacted, redacted_rows, secrets_of
from stepwell.flows.parameters.pipeline_parameter import Value
from stepwell.flows.step_requests.asking import Asker
from stepwell.flows.step_requests.looks import asked_again, is_look, remembered_looks, with_looks
from stepwell.flows.step_requests.run_state import PlannedRun, RunState, live_state
from stepwell.model.definitions import DatasetSource, DataSource, ParameterSource, StepDefinition
from stepwell.model.fingerprint import ABSENT, CONTENT, PROBED
from stepwell.model.records import Artifact, StepCall
from stepwell.model.redaction import Redactor
from stepwell.model.tree import Tree, listing

Listener = Callable[[Event], None]


class RunContext(RunData):
    """Everything that is looked up once per run. `listeners` are called with every event.

    `verify`: every byte is read, whatever digests are remembered.
    """

    def __init__(
        self,
        workspace: BaseWorkspace,
        run_id: str,
        *,
        snapshots: Mapping[str, str] | None = None,
        regenerate: bool = False,
        verify: bool = False,
        listeners: Iterable[Listener] = (),
    ) -> None:
        super().__init__(workspace, workspace.store.reading_all() if verify else workspace.store, snapshots or {})
        self.run = RunFolder(self.store.run_folder(run_id))
        self.regenerate, self.stop = regenerate, StopSignal()
        self.planned: PlannedRun | None = None
        self.expected_properties: Callable[[], Mapping[str, str]] = dict
        self._listeners = tuple(listeners)
        self._foreign_packages: dict[str, Packages] = {}
        self._datastores_here: set[str] = set()
        self._labels: dict[str, str] = {}
        self.unreachable: set[str] = set()  # datastores that did not answer when outputs were to be put there
        self.differing: dict[str, tuple[str, ...]] = {}
        self._secrets, self._declared = list[str](), list[str]()
        self._bindings: dict[str, tuple[tuple[StepDefinition, Mapping[str, Value]], StepCall]] = {}
        self._later = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stepwell-later")

    def emit(self, *events: Event) -> None:
        """Append the events, stamped with the time, to the run's journal and notify the listeners."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._lock:
            stamped = [
                {"at": at, **event, **{name: redacted(event[name], self._redactor) for name in TEXTS if name in event}}
                for event in events
            ]
            self.run.append(*stamped)
            for event in stamped:
                for listener in self._listeners:
                    listener(event)

    def remove_later(self, folder: Path) -> None:
        """Remove the folder in the background, before the process ends."""
        self._later.submit(remove, folder)

    def make_durable_later(self, key: str) -> None:
        """Let the record of a key survive a power cut, from before the run ends on; until then it would run again."""
        self._later.submit(self._make_durable, key)

    def _make_durable(self, key: str) -> None:
        try:
            self.store.make_durable(key)
        except OSError as error:
            self.warn(f"A power cut could take the result {key[:12]}, since its record can't be made durable: {error}")

    def warn(self, text: str) -> None:
        """Emit a warning for the user."""
        self.emit({"warning": text})

    # Looked up once -------------------------------------------------------------------------------------------------

    @cached_property
    def datastores(self) -> dict[str, Datastore]:
        """The workspace's datastores by name; what opens them is secret, as is what the workspace's key vault holds."""
        found = self.workspace.datastores
        opening = (secret for datastore in found.values() for secret in datastore.secrets)
        self.hide(opening, held_secrets(self.workspace.name))
        return found

    @cached_property
    def computes(self) -> dict[str, Compute]:
        """The workspace's compute targets by name; what opens what they stand for is secret."""
        found = targets_of(self.workspace)
        self.hide(secret for target in found.values() for secret in target.secrets)
        return found

    @cached_property
    def own_places(self) -> OwnPlaces:
        """Where Stepwell, its home, its store and its server are: what a step reads there counts for nobody."""
        data = [datastore.local_root for datastore in self.datastores.values() if datastore.local_root]
        return OwnPlaces([self.store.root, self.store.written, get_current_settings().home], data)

    @cached_property
    def packages(self) -> Packages:
        """The packages that the interpreter in use has installed."""
        return Packages(home() / "cache", known_places=frozen_places(self._frozen))

    def packages_of(self, interpreter: str) -> Packages:
        """Return the packages that an interpreter ('' is the one in use) has installed."""
        if not interpreter:
            return self.packages
        with self._lock:
            return self._foreign_packages.setdefault(
                interpreter, Packages(home() / "cache", interpreter, self.packages.known_places)
            )

    def close(self) -> None:
        """Remove what was fetched for the run, and wait until every folder to remove is gone."""
        if downloads := self.__dict__.pop("downloads", None):
            self.remove_later(downloads)
        if "datasets" in self.__dict__:
            self.datasets.close(self.remove_later)
        self._later.shutdown(wait=True)

    @cached_property
    def results(self) -> ResultsBlock:
        """The block where Prefect reads results."""
        return results_block(ensure_server())

    @cached_property
    def script_context(self) -> dict[str, Any]:
        """The facts that a script may ask of the run that it is part of."""
        facts = self.run.facts()
        return {
            "experiment": facts.get("experiment", ""),
            "workspace": self.workspace.name,
            "parent_id": self.run.run_id,
            "number": facts.get("number", 0),
            "parent_name": self.run.label,
            "parent_tags": facts.get("tags", {}),
        }

    @cached_property
    def redactor(self) -> Redactor:
        """The redactor that takes secrets out of what people see."""
        self.datastores  # noqa: B018  (what opens them is secret, too)
        return self._redactor

    @cached_property
    def _redactor(self) -> Redactor:
        """The redactor for the secrets that are known without asking Prefect's server."""
        return Redactor.of_environment(os.environ, self._secrets, self._declared)

    @property
    def redacting(self) -> LateRedaction:
        """The same as `redactor.redact`, also for secrets that come to be known only later on."""
        return LateRedaction(self)

    def hide(self, secrets: Iterable[str], declared: Iterable[str] = ()) -> None:
        """Keep the values out of every log, record and key from now on; `declared` ones, though they are short."""
        new, new_declared = set(secrets) - set(self._secrets), set(declared) - set(self._declared)
        if new or new_declared:
            self._secrets += sorted(new)
            self._declared += sorted(new_declared)
            self.__dict__.pop("redactor", None)
            self.__dict__.pop("_redactor", None)

    def compute(self, name: str) -> Compute:
        """Return the compute target of that name; raise ComputeTargetException if the workspace has none."""
        if name not in self.computes:
            if (made := unsaved(self.workspace.name, name)) is None:
                raise not_found(self.workspace.name, name, self.computes)
            self.computes.setdefault(name, made)
        return self.computes[name]

    def datastore(self, name: str) -> Datastore:
        """Return the datastore of that name; raise DatastoreException if the workspace has none."""
        if name not in self.datastores:
            raise DatastoreException(
                f"There is no datastore {name!r} in workspace {self.workspace.name!r}",
                {"datastores": ", ".join(self.datastores)},
                "Register it, or correct the name.",
            )
        if name not in self._datastores_here:
            self.datastores[name].require_here()
            self._datastores_here.add(name)
        return self.datastores[name]

    def label_of(self, run_id: str) -> str:
        """Return the short name of the run of this machine that made a result, looked up once."""
        if run_id not in self._labels:
            self._labels[run_id] = RunFolder(self.store.run_folder(run_id)).label
        return self._labels[run_id]

    @cached_property
    def remote_store(self) -> RemoteStore | None:
        """The store through which data reach other machines: in the default datastore, None if that is local."""
        return self.datastore(self.workspace.default_datastore_name).remote_store

    def packages_for(self, step: StepDefinition) -> Packages:
        """Return the packages that a step finds where it runs, unless it has an environment of its own."""
        own_image = step.environment.image or step.environment.dockerfile
        return self.packages if own_image else self.packages_of(step.environment.interpreter)

    # Calls ----------------------------------------------------------------------------------------------------------

    def call(
        self,
        definition: StepDefinition,
        values: Mapping[str, Value],
        inputs: Mapping[str, Artifact],
        *,
        early: bool = False,
    ) -> StepCall:
        """Return the step's call; `inputs` are what other steps wrote, by name. Inputs not given yet are left out.

        `early`: the step does not start yet, so that data may still come if its rules say so.
        """
        call = self._bound(definition, values, inputs, early=early)
        call = self.with_observed(replace(call, fingerprint=redacted_rows(call.fingerprint, self.redactor)))
        directory = definition.source_directory
        with self._lock:
            self._relied.setdefault(directory, set()).update(relied_on(call, self.source(directory)))
        return with_earlier(self.store, call, anew=self.regenerate)

    def _bound(
        self, definition: StepDefinition, values: Mapping[str, Value], inputs: Mapping[str, Artifact], *, early: bool
    ) -> StepCall:
        """Return the call before it is known what the step was seen to read; one whose inputs were all known early is bound once."""
        given, known = (definition, values), None if inputs else self._bindings.pop(definition.id, None)
        if known is not None and all(one is other for one, other in zip(known[0], given, strict=True)):
            return known[1]
        values = {**values, **definition.values}
        filled = self._filled(definition, values, inputs, early=early)
        self.hide(secrets_of((definition,), values), declared_secrets((definition,), values))
        definition = self.where_it_runs(definition)
        if definition.driver is not None:
            definition = self.compute(definition.compute_target).with_contents(definition)
        source, packages = self.source(definition.source_directory), self.packages_for(definition)
        call = bind(definition, source, values, filled, packages, partial(self._keep_module, definition))
        self._take(call.own_code, source)
        if definition.parameter_files:
            self.store.note_tree(tree_without(source, files_of_keys(definition, source)))  # for explanations
        if early and all(port.name in filled for port in definition.inputs):
            self._bindings[definition.id] = given, call
        return call

    def _filled(
        self, definition: StepDefinition, values: Mapping[str, Value], inputs: Mapping[str, Artifact], *, early: bool
    ) -> dict[str, Artifact]:
        """Return the inputs by name: those given, and what data sources and datasets are now."""
        filled = dict(inputs)
        for port in definition.inputs:
            data = values[port.source.parameter] if isinstance(port.source, ParameterSource) else port.source
            if isinstance(data, DataSource):
                try:
                    filled[port.name] = self.artifact(data)
                except NoData as error:
                    if early and definition.switches.data_may_come_later:
                        continue
                    raise error.of(definition, port, data) from None
                self.check_links(port.name, data, follow=port.follow_links)
            elif isinstance(data, DatasetSource):
                filled[port.name] = self.datasets.artifact(data)
                self.datasets.check_links(port.name, filled[port.name])
            if port.entry and port.name in filled:
                filled[port.name] = self.part(filled[port.name], port.entry)
            if port.reading and port.name in filled and not isinstance(data, DatasetSource):
                filled[port.name] = self.datasets.output(filled[port.name], port.reading)
        return filled

    def where_it_runs(self, definition: StepDefinition) -> StepDefinition:
        """Return the step, without the image of its environment if its target uses none, on installed packages if these stand in."""
        environment = definition.environment
        images = environment.image or environment.dockerfile
        if images and not self.compute(definition.compute_target).uses_images:
            images, environment = "", replace(environment, image="", dockerfile="")
        if environment.isolated and not images and self.takes_installed:
            with self._lock:
                self.differing[definition.id] = differences(environment, self.packages_of(environment.interpreter))
            environment = as_installed(environment)
        return definition if environment is definition.environment else replace(definition, environment=environment)

    @cached_property
    def takes_installed(self) -> bool:
        """Whether the packages in use stand in for those that steps ask for."""
        return self.workspace.stand_ins["environment"] == "as-installed"

    def with_observed(self, call: StepCall, seen: Iterable[str] = ()) -> StepCall:
        """Return the call, its fingerprint extended by what steps like it, and itself (`seen`), were seen to read."""
        names = {*self.store.observed(call.fingerprint), *seen}
        imported = set(filter(is_imported, names))
        looks = set(filter(is_look, names))
        call = with_imported(call, imported, self.packages_for(call.definition)) if imported else call
        if looks:
            asker = Asker(self, call)
            call = with_looks(call, {look: asked_again(asker, look) for look in remembered_looks(looks)})
        seen_paths = names - imported - looks
        paths = {path for path in seen_paths if not self.own_places.hold(path.removesuffix(PROBED))}
        return with_reads(call, paths, {path: self.content(call, path) for path in paths}) if paths else call

    def run_state(self) -> RunState:
        """Return what the steps of the run have set so far, or will have, if the run is only planned."""
        return self.planned.state() if self.planned else live_state(self.store, self.run, self.redactor.redact)

    def content(self, call: StepCall, path: str) -> str:
        """Return the row value of what a step read: in its snapshot, or anywhere if the path is absolute."""
        if path.endswith("/"):
            if names := self._listing(call, path):
                self.store.note_tree(names)  # so that what is new in it can be named
            return CONTENT + names.digest if names else ABSENT
        if not os.path.isabs(path):
            return self.source(call.definition.source_directory).content(path)
        try:
            status = os.stat(path.removesuffix(PROBED))
            if stat.S_ISDIR(status.st_mode):
                return "folder"
            if path.endswith(PROBED):
                return "file"
            if not stat.S_ISREG(status.st_mode):  # a note may name anything
                return ABSENT
            return CONTENT + self.store.digests.digest_file(path, status)
        except OSError:
            return ABSENT

    def _listing(self, call: StepCall, folder: str) -> Tree | None:
        if not os.path.isabs(folder):
            return self.source(call.definition.source_directory).listing(folder)
        try:
            return listing(os.listdir(folder))
        except OSError:
            return None
