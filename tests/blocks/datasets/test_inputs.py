"""Datasets as inputs of a run: found once, together at one place, with the secrets and ids that other processes need."""

from __future__ import annotations

import os
from contextlib import closing
from threading import Event, Thread
from types import SimpleNamespace

import pytest

from far_away import TaggedMemory

from stepwell import Dataset, Datastore
from stepwell.blocks.datasets import inputs
from stepwell.blocks.datasets.files import web_addresses
from stepwell.blocks.datasets.inputs import keep_secret_addresses, pinned
from stepwell.blocks.datasets.registry import find_by_id
from stepwell.blocks.datasets.sources import dataset_source, definition_in, document_of
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.runs.launch import RunToBe
from stepwell.model.datasets.definition import DatasetDefinition, Place
from stepwell.model.definitions import DatasetSource
from stepwell.model.tree import scan, scan_through


@pytest.fixture
def store(workspace):
    found = workspace.get_default_datastore()
    for name in ("a/1.csv", "a/2.csv", "b/3.csv"):
        (found.local_root / name).parent.mkdir(exist_ok=True)
        (found.local_root / name).write_text(name)
    return found


def test_files_of_several_places_are_links_here_and_copies_elsewhere(workspace, store) -> None:
    with closing(RunContext(workspace, "plan")) as context:
        source = dataset_source(Dataset.File.from_files([(store, "a/*.csv"), (store, "b/3.csv")]))
        artifact = context.datasets.artifact(source)
        assert context.datasets.artifact(source) is artifact
        links = context.datasets.path(artifact, follows=True)
        assert (links / "a/1.csv").is_symlink() and (links / "a/1.csv").samefile(store.local_root / "a/1.csv")
        copies = context.datasets.path(artifact, follows=False)
        assert not (copies / "b/3.csv").is_symlink() and scan(copies).digest == artifact.digest
        assert definition_in(artifact.dataset.document).root == ""
        assert context.datasets.artifact_now(artifact).digest == artifact.digest
        (store.local_root / "b/3.csv").write_text("other")
        assert context.datasets.artifact_now(artifact).digest != artifact.digest


def test_files_are_linked_once_a_step_asks_for_them_and_the_links_are_looked_after(
    workspace, store, monkeypatch
) -> None:
    (store.local_root / "a/1.csv").chmod(0o755)
    with closing(RunContext(workspace, "plan")) as context:
        with monkeypatch.context() as patch:
            patch.setattr(os, "symlink", lambda *_: pytest.fail("nobody has asked for it"))
            artifact = context.datasets.artifact(dataset_source(Dataset.File.from_files((store, "*/*.csv"))))
            assert context.datasets.artifact_now(artifact).digest == artifact.digest
        links = context.datasets.path(artifact, follows=True)
        assert scan_through(links)[0].digest == context.datasets.artifact_now(artifact).digest == artifact.digest
        (links / "a/more.csv").write_text("of a step")
        assert context.datasets.artifact_now(artifact).digest == ""
        (links / "a/more.csv").unlink()
        assert context.datasets.artifact_now(artifact).digest == artifact.digest
        (links / "a/1.csv").unlink()
        (links / "a/1.csv").symlink_to(store.local_root / "a/2.csv")
        assert context.datasets.artifact_now(artifact).digest == ""


def test_files_here_that_change_are_seen_though_others_were_fetched(workspace, store) -> None:
    TaggedMemory.store, TaggedMemory.pseudo_dirs = {}, [""]
    far = Datastore.register(workspace, "far", "tagged://data")
    far.put_file(store.local_root / "a/1.csv", "f.csv")
    with closing(RunContext(workspace, "plan")) as context:
        artifact = context.datasets.artifact(
            dataset_source(Dataset.File.from_files([(store, "a/1.csv"), (far, "f.csv")]))
        )
        assert context.datasets.artifact_now(artifact).digest == artifact.digest
        (store.local_root / "a/1.csv").write_text("other")
        assert context.datasets.artifact_now(artifact).digest != artifact.digest


def test_one_place_is_what_stands_there(workspace, store) -> None:
    with closing(RunContext(workspace, "plan")) as context:
        for path, root in (("a", "a"), ("a/1.csv", "a")):
            artifact = context.datasets.artifact(dataset_source(Dataset.File.from_files((store, path))))
            assert (artifact.datastore, artifact.path) == (store.name, path)
            assert definition_in(artifact.dataset.document).root == root


def test_what_is_done_with_files_is_done_before_the_script_gets_them(workspace, store) -> None:
    files = Dataset.File.from_files((store, "a")).skip(1)
    with closing(RunContext(workspace, "plan")) as context:
        artifact = context.datasets.artifact(dataset_source(files))
        folder = context.datasets.path(artifact, follows=True)
        assert [path.name for path in folder.iterdir()] == ["2.csv"]
        assert definition_in(artifact.dataset.document).operations == ()


def test_files_that_are_made_of_a_table_are_an_input_too(workspace, store) -> None:
    (store.local_root / "t.csv").write_text("x,y\n1,2\n")
    made = Dataset.Tabular.from_delimited_files((store, "t.csv")).keep_columns("y").to_csv_files()
    with closing(RunContext(workspace, "plan")) as context:
        artifact = context.datasets.artifact(dataset_source(made))
        [file] = context.datasets.path(artifact, follows=True).iterdir()
        assert file.read_text() == "y\n2\n"


def test_before_a_run_nothing_is_fetched_from_far_away(workspace, store, monkeypatch) -> None:
    from stepwell.blocks.datasets.files import current_files

    monkeypatch.setattr(current_files.CurrentFiles, "put_into", lambda *_, **__: pytest.fail("it was fetched"))
    monkeypatch.setattr(current_files.FoundFile, "place", None, raising=False)
    monkeypatch.setattr(
        current_files, "_local", lambda datastore, path, _: current_files.FoundFile("", datastore.name, path, 1)
    )
    with closing(RunToBe(workspace, "plan")) as context:
        files = Dataset.File.from_files((store, "a/*.csv"), validate=False)
        assert context.datasets.artifact(dataset_source(files)).digest == ""


def test_secrets_of_addresses_are_known_in_other_processes(workspace, monkeypatch) -> None:
    shown = web_addresses.shown_address("https://user:word-4711@example.org/a.csv")
    source = DatasetSource(document_of(DatasetDefinition("file", (Place("", shown),))))
    keep_secret_addresses(workspace, [source, None, DatasetSource(name="x")])
    monkeypatch.setattr(web_addresses, "_known", {})
    definition = definition_in(source.document)
    assert web_addresses.lacks_secret(definition)
    assert pinned(workspace, source).document == source.document
    assert not web_addresses.lacks_secret(definition)


def test_the_id_that_a_script_gets_can_be_looked_up(project, store) -> None:
    table = DatasetDefinition("tabular", (Place(store.name, "a/1.csv"),), "delimited")
    given = Dataset.Tabular.from_delimited_files((store, "a/1.csv")).as_named_input("table")
    step = project.step("s.py", "open('outputs/id', 'w').write(args[0])", arguments=[given])
    run = project.workspace.get_run(project.run(project.pipeline(step)).run_id)
    found = (run.find_step_run("s.py")[0].folder / "outputs" / "id").read_text()
    assert find_by_id(project.workspace, found).definition["places"] == table.to_json()["places"]


def test_a_step_waits_until_another_has_kept_the_id_of_its_dataset(workspace, store, monkeypatch) -> None:
    begun, goes_on, kept, seen = Event(), Event(), list[str](), list[int]()

    def keep(_: object, definition: DatasetDefinition) -> None:
        begun.set()
        goes_on.wait()
        kept.append(definition.kind)

    monkeypatch.setattr(inputs, "keep_unregistered", keep)
    with closing(RunContext(workspace, "plan")) as context:
        artifact = context.datasets.artifact(dataset_source(Dataset.File.from_files((store, "a"))))
        call = SimpleNamespace(datasets={"files": {"mode": "direct", "id": artifact.dataset.id}})

        def start() -> None:
            context.datasets.keep_ids(call)
            seen.append(len(kept))

        threads = [Thread(target=start) for _ in range(2)]
        threads[0].start()
        begun.wait()
        threads[1].start()
        goes_on.set()
        for thread in threads:
            thread.join()
    assert (kept, seen) == (["file"], [1, 1])
