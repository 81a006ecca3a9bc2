"""Block documents: listing them ends and finds each once, and none is found under the names of another."""

from __future__ import annotations

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from functools import partial

import pytest
from document_rows import DocumentRows
from prefect.blocks.core import Block
from prefect.exceptions import ObjectAlreadyExists
from savings import own_workspace

from stepwell import AmlCompute, ComputeTarget, DaskCompute, Dataset, Datastore, Environment, Model, Module, Pipeline
from stepwell import PythonScriptStep, Workspace
from stepwell.blocks.compute.dask.dask_compute import DaskCompute as DaskBlock
from stepwell.blocks.datasets import registry
from stepwell.blocks.environments.registry import EnvironmentBlock
from stepwell.blocks.server import documents
from stepwell.blocks.workspace.base_workspace import WorkspaceBlock
from stepwell.blocks.datastores.datastore_files import DatastoreBlock
from stepwell.blocks.workspace import models
from stepwell.errors import DatastoreException, UserErrorException, WorkspaceException
from stepwell.flows.catalog import module_publishing
from stepwell.flows.publishing import lock as publishing_lock
from stepwell.model.names import earlier_joined_name, joined_name


@pytest.fixture
def pair(server):
    """Two workspaces, the first one's name with `-gpu` behind being the second's."""
    name = f"t-{uuid.uuid4().hex[:10]}-p"
    return Workspace.create(name), Workspace.create(f"{name}-gpu")


def save_as_earlier(block):
    """Save the block where earlier releases did."""
    documents.save(block, earlier_joined_name(*block.own_names))


def names_of(cls, **fields):
    """The names of the documents that are there for a block."""
    return sorted(d.name for d in documents._read_documents([cls], {}) if fields.items() <= d.data.items())


def test_more_documents_than_prefect_has_on_a_page_are_all_found(workspace):
    names = {f"d{i}" for i in range(101)}
    for name in names:
        block = DatastoreBlock(workspace=workspace.name, name=name)
        documents.save_named(block)
    found = [block.name for block in documents.load_all(DatastoreBlock, workspace=workspace.name)]
    assert len(found) == 103 and names < set(found)


def test_blocks_of_two_workspaces_stay_apart(pair):
    one, other = pair
    ComputeTarget.attach(one, "gpu-big", DaskCompute(max_nodes=1))
    ComputeTarget.attach(other, "big", DaskCompute(max_nodes=2))
    Environment("gpu-big").register(one)
    Environment("big").register(other)
    Datastore.register(one, "gpu_big", overwrite=True)
    Datastore.register(one, "GPU_BIG")
    assert ComputeTarget(one, "gpu-big").max_nodes == 1 and ComputeTarget(other, "big").max_nodes == 2
    assert list(Environment.list(one)) == ["gpu-big"] and list(Environment.list(other)) == ["big"]
    assert {"gpu_big", "GPU_BIG"} < set(one.datastores)
    ComputeTarget(one, "gpu-big").delete()
    assert "gpu-big" not in one.compute_targets and ComputeTarget(other, "big").max_nodes == 2


def test_a_workspace_can_not_be_made_over_one_of_an_earlier_release(server):
    earlier = WorkspaceBlock(name=f"T-{uuid.uuid4().hex[:10]}", location="first")
    save_as_earlier(earlier)
    place = earlier_joined_name(earlier.name)
    with pytest.raises(WorkspaceException):
        Workspace.get(place)
    Workspace.create(place, location="second")
    assert (Workspace.get(earlier.name).location, Workspace.get(place).location) == ("first", "second")
    documents.delete_named(WorkspaceBlock, earlier.name)  # it has no datastore, of which every command would tell
    assert earlier.name not in Workspace.list() and place in Workspace.list()


@pytest.mark.parametrize(
    "make",
    [
        lambda ws: WorkspaceBlock(name=ws.replace("-", "_")),
        lambda ws: DatastoreBlock(workspace=ws, name="data"),
        lambda ws: DaskBlock(workspace=ws, name="gpu-big"),
        lambda ws: EnvironmentBlock(workspace=ws, name="env", version=3, digest="d", content={"a": 1}),
    ],
)
def test_a_block_of_an_earlier_release_is_found_and_saving_moves_it(server, make):
    block = make(f"t-{uuid.uuid4().hex[:10]}")
    kind, names = type(block), block.own_names
    fields = dict(zip(block.named_by, names, strict=True)) | ({"version": 3} if "version" in block.named_by else {})
    save_as_earlier(block)
    found = documents.load_named(kind, *names)
    assert found is not None and found.own_names == names
    documents.save_named(found)
    assert names_of(kind, **fields) == [joined_name(*names)]
    assert documents.load_named(kind, *names).own_names == names
    assert documents.delete_named(kind, *names) and not documents.delete_named(kind, *names)
    assert names_of(kind, **fields) == []


def test_another_ones_block_at_the_earlier_place_is_neither_found_nor_removed(pair):
    one, other = pair
    save_as_earlier(DaskBlock(workspace=one.name, name="gpu-big", max_nodes=7))
    assert documents.load_named(DaskBlock, other.name, "big") is None
    ComputeTarget.attach(other, "big", DaskCompute(max_nodes=2))
    ComputeTarget(other, "big").delete()
    assert ComputeTarget(one, "gpu-big").max_nodes == 7
    ComputeTarget(one, "gpu-big").delete()
    assert names_of(DaskBlock, workspace=one.name) == []


def test_what_was_left_at_the_earlier_place_counts_no_more(workspace):
    save_as_earlier(DaskBlock(workspace=workspace.name, name="big", max_nodes=7))
    documents.save(DaskBlock(workspace=workspace.name, name="big", max_nodes=2), joined_name(workspace.name, "big"))
    assert ComputeTarget(workspace, "big").max_nodes == 2
    assert [b.max_nodes for b in documents.load_all(DaskBlock, workspace=workspace.name)] == [2]
    assert documents.load_named(DaskBlock, workspace.name, "big").max_nodes == 2
    documents.delete_named(DaskBlock, workspace.name, "big")
    assert "big" not in workspace.compute_targets


def test_attaching_a_target_under_another_name_leaves_the_first_as_it_was(workspace):
    ComputeTarget.attach(workspace, "first", DaskCompute(max_nodes=1))
    ComputeTarget.attach(workspace, "second", DaskCompute(max_nodes=2))
    ComputeTarget(workspace, "first").attach_to(workspace, "second")
    targets = {
        name: target.max_nodes for name, target in workspace.compute_targets.items() if name in ("first", "second")
    }
    assert targets == {"first": 1, "second": 1}


def test_an_updated_target_moves_too(workspace):
    save_as_earlier(AmlCompute(workspace=workspace.name, name="cpu-cluster", max_nodes=1))
    ComputeTarget(workspace, "cpu-cluster").update(max_nodes=3)
    assert ComputeTarget(workspace, "cpu-cluster").max_nodes == 3
    assert names_of(AmlCompute, workspace=workspace.name) == [joined_name(workspace.name, "cpu-cluster")]


def test_an_unregistered_datastore_of_an_earlier_release_is_gone(workspace):
    save_as_earlier(DatastoreBlock(workspace=workspace.name, name="old"))
    Datastore(workspace, "old").unregister()
    with pytest.raises(DatastoreException):
        Datastore(workspace, "old")


# Many at once -----------------------------------------------------------------------------------------------------------


def new_kind():
    """Return a class of blocks that the server has never seen."""
    slug = f"kind-{uuid.uuid4().hex[:12]}"
    fields = {
        "_block_type_name": slug,
        "_block_type_slug": slug,
        "__module__": __name__,
        "__annotations__": {"at": int},
    }
    return type("Kind", (Block,), fields)


def all_at_once(actions):
    """Return what the actions returned, each in a thread, begun together."""
    together = threading.Barrier(len(actions))

    def act(action):
        together.wait()
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(act, actions))


@pytest.mark.parametrize("one_home", [True, False])
def test_many_who_register_a_kind_at_once_all_succeed(server, monkeypatch, one_home):
    if not one_home:
        monkeypatch.setattr(documents, "registering", lambda _: nullcontext())
    kind = new_kind()
    all_at_once([lambda at=at: documents.save(kind(at=at), f"one-{at}") for at in range(8)])
    all_at_once([lambda at=at: documents.save(kind(at=at), "same") for at in range(8)])
    assert {block.at for block in documents.load_all(kind)} == set(range(8))


def test_a_save_that_somebody_elses_comes_before_is_tried_again_and_not_for_ever(server, monkeypatch):
    kind, tries = new_kind(), []

    def save(self, name, **_):
        tries.append(name)
        if len(tries) != enough:
            raise ObjectAlreadyExists(http_exc=Exception())

    monkeypatch.setattr(kind, "save", save)
    monkeypatch.setattr(documents, "_SAVE_PAUSE", 0.001)
    enough = 3
    documents.save(kind(at=1), "x")
    assert len(tries) == 3
    enough = -1
    with pytest.raises(ObjectAlreadyExists):
        documents.save(kind(at=1), "x")


def test_many_who_create_a_workspace_at_once_get_one(server):
    name = f"t-{uuid.uuid4().hex[:12]}"
    made = all_at_once([lambda: Workspace.create(name, exist_ok=True) for _ in range(6)])
    assert {workspace.name for workspace in made} == {name} and len({workspace.sign("x") for workspace in made}) == 1
    other = f"t-{uuid.uuid4().hex[:12]}"

    def create():
        with suppress(WorkspaceException):
            return Workspace.create(other)

    assert sum(workspace is not None for workspace in all_at_once([create] * 6)) == 1


def test_who_waits_too_long_for_others_goes_on_without(server, monkeypatch):
    monkeypatch.setattr(documents, "_SECONDS_FOR_OTHERS", 0.1)
    with documents.registering("trial"), documents.registering("trial"):
        pass


def test_of_many_who_create_a_document_at_once_one_has_it(server):
    kind = new_kind()
    documents.save(kind(at=0), "another")
    made = all_at_once([lambda at=at: (at, documents.create(kind(at=at), "same")) for at in range(6)])
    winners = [at for at, won in made if won]
    assert len(winners) == 1 and documents.load(kind, "same").at == winners[0]
    assert not documents.create(kind(at=9), "same")


def test_versions_that_are_taken_at_once_differ(server):
    """Without a lock, which other machines would not see either."""
    name = uuid.uuid4().hex
    take = partial(documents.take_version, "w", "kind", name)
    assert sorted(all_at_once([lambda: take([2])] * 5)) == [3, 4, 5, 6, 7]
    documents.give_version_back("w", "kind", name, 7)
    assert take([6]) == 7
    assert documents.take_version("w", "kind", f"{name} another", []) == 1


def test_what_is_registered_on_two_machines_at_once_gets_two_versions(server, monkeypatch, tmp_path):
    """Nothing is locked, as between machines."""
    for module in (registry, models, publishing_lock, module_publishing):
        monkeypatch.setattr(module, "exclusive", lambda _: nullcontext())
    monkeypatch.setattr(documents, "registering", lambda _: nullcontext())
    workspace = Workspace.create(f"t-{uuid.uuid4().hex[:12]}")
    (tmp_path / "a").write_bytes(b"1")
    workspace.get_default_datastore().upload_files([tmp_path / "a"], show_progress=False)
    (tmp_path / "a.py").write_text("pass")

    def dataset(number):
        made = Dataset.File.from_files((workspace.get_default_datastore(), "a" + "*" * number))
        return made.register(workspace, "d", create_new_version=True).version

    def module(number):
        made = Module.get(workspace, name="m")
        return made.publish_python_script("a.py", str(number), [], [], source_directory=tmp_path, version=None).version

    def environment(number):
        made = Environment("e")
        made.environment_variables = {"A": str(number)}
        return int(made.register(workspace).version)

    def pipeline(_):
        step = PythonScriptStep("a.py", source_directory=tmp_path)
        return Pipeline(workspace, [step]).publish("p").version

    Module.create(workspace, "m", "")
    kinds = {
        "dataset": dataset,
        "model": lambda _: Model.register(workspace, tmp_path / "a", "model").version,
        "environment": environment,
        "module": module,
        "pipeline": pipeline,
    }
    for kind, register in kinds.items():
        register(0)
        found = all_at_once([partial(register, number) for number in (1, 2, 3)])
        assert sorted(map(int, found)) == [2, 3, 4], kind


def test_of_many_on_several_machines_who_create_a_workspace_or_module_one_does(server, monkeypatch):
    monkeypatch.setattr(documents, "registering", lambda _: nullcontext())
    monkeypatch.setattr(module_publishing, "exclusive", lambda _: nullcontext())
    name = f"t-{uuid.uuid4().hex[:12]}"

    def tried(action):
        with suppress(WorkspaceException, UserErrorException):
            return action()

    made = all_at_once([lambda: tried(lambda: Workspace.create(name))] * 4)
    (workspace,) = [one for one in made if one is not None]
    made = all_at_once([lambda: tried(lambda: Module.create(workspace, "m", ""))] * 4)
    assert sum(one is not None for one in made) == 1


def test_a_workspace_that_tests_write_past_the_server_is_as_one_that_it_was_asked_for(server):
    """The tests' own workspaces are rows of its database, and no less than that."""

    def documents_of(workspace):
        wanted = {"include_secrets": True, "block_documents": {"name": {"like_": workspace.name}}}
        with documents.client() as api:
            found = api.request("POST", "/block_documents/filter", json=wanted).json()
        assert len(found) == 3
        own = ("id", "created", "updated", "name")
        lasting = [{name: value for name, value in one.items() if name not in own} for one in found]
        text = json.dumps(sorted(lasting, key=lambda one: one["data"]["name"]))
        block = workspace._block
        for made_up in (*(one["name"] for one in found), block.name, block.store_id, block.folders_id):
            text = text.replace(made_up, "-")
        return json.loads(text)

    with own_workspace(server, "w"):  # whoever is the first one of a server is asked for
        pass
    with own_workspace(server, "w") as past:
        assert DocumentRows.of(server) is not None
        asked = Workspace.create(f"w-{uuid.uuid4().hex[:12]}")
        assert past.name in Workspace.list() and set(past.datastores) == set(asked.datastores)
        assert documents_of(past) == documents_of(asked)
        assert Workspace.get(past.name)._block._block_document_id == past._block._block_document_id
    assert past.name not in Workspace.list()
