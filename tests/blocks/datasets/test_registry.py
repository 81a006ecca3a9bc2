"""Registered datasets: versions by name, found again, described and marked."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from stepwell import Dataset, Datastore, FileDataset, TabularDataset, Workspace
from stepwell.blocks.datasets import registry
from stepwell.errors import UserErrorException


@pytest.fixture
def store(workspace, tmp_path) -> Datastore:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("x,y\n1,a\n2,b\n")
    return Datastore.register(workspace, "local", f"file://{tmp_path}/data")


@pytest.fixture
def table(store) -> TabularDataset:
    return Dataset.Tabular.from_delimited_files((store, "a.csv"))


def test_a_known_definition_is_returned_and_another_one_is_refused(workspace, table) -> None:
    assert (table.name, table.version, table.description, table.tags) == (None, None, None, {})
    first = table.register(workspace, "flats", "of the north", {"area": 7})
    assert (first.name, first.version, first.description, first.tags) == ("flats", 1, "of the north", {"area": "7"})
    again = table.register(workspace, "flats", "something else")
    assert (again.version, again.id, again.description) == (1, first.id, "of the north")
    other = table.keep_columns("x")
    with pytest.raises(UserErrorException, match="already, and it is another one") as caught:
        other.register(workspace, "flats")
    assert "create_new_version=True" in caught.value.hint
    assert other.register(workspace, "flats", create_new_version=True).version == 2
    assert table.register(workspace, "flats").version == 1
    assert table.register(workspace, "flats", create_new_version=True).version == 3


def test_versions_are_found_by_name_number_and_id(workspace, table, store) -> None:
    first = table.register(workspace, "flats")
    second = table.take(1).register(workspace, "flats", create_new_version=True)
    files = Dataset.File.from_files((store, "a.csv")).register(workspace, "files")
    assert Dataset.get_by_name(workspace, "flats").version == 2
    assert len(Dataset.get_by_name(workspace, name="flats").to_pandas_dataframe()) == 1
    for version in (1, "1"):
        assert Dataset.get_by_name(workspace, "flats", version).id == first.id
    assert Dataset.get_by_id(workspace, second.id).version == 2
    assert isinstance(Dataset.get_by_name(workspace, "files"), FileDataset)
    assert {name: one.version for name, one in workspace.datasets.items()} == {"flats": 2, "files": 1}
    assert Dataset.get_all(workspace)["files"].id == files.id and len(Dataset.list(workspace)) == 2
    assert Dataset.get(workspace, "flats").version == 2 and Dataset.get(workspace, id=first.id).version == 1
    with pytest.raises(UserErrorException, match="no dataset 'houses'") as caught:
        Dataset.get_by_name(workspace, "houses")
    assert caught.value.facts == {"datasets": "files, flats"}
    with pytest.raises(UserErrorException, match="no version 9") as caught:
        Dataset.get_by_name(workspace, "flats", 9)
    assert caught.value.facts == {"versions": "2, 1"}
    with pytest.raises(UserErrorException, match="of the id"):
        Dataset.get_by_id(workspace, str(uuid.uuid4()))


def test_two_who_register_at_once_get_two_versions(workspace, table) -> None:
    made = [table.take(count) for count in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda one: one.register(workspace, "busy", create_new_version=True).version, made)
    assert sorted(found) == [1, 2, 3, 4]


def test_an_unregistered_dataset_is_found_by_its_id_and_listed_nowhere(workspace, table) -> None:
    chosen = table.filter(table["x"] > 1)
    assert Dataset.get_by_id(workspace, chosen.id).to_pandas_dataframe()["y"].tolist() == ["b"]
    assert chosen.id == table.filter(table["x"] > 1).id != table.id
    assert workspace.datasets == {} and Dataset.get_by_id(workspace, chosen.id).name is None


def test_words_and_tags_can_be_changed(workspace, table) -> None:
    one = table.register(workspace, "flats", tags={"a": 1, "b": 2})
    one.add_tags({"c": 3})
    one.remove_tags(["a"])
    one.update(description="new")
    found = Dataset.get_by_name(workspace, "flats")
    assert (found.tags, found.description) == ({"b": "2", "c": "3"}, "new")
    with pytest.raises(UserErrorException, match="not registered"):
        table.add_tags({"a": 1})


def test_unregistered_versions_are_gone_and_the_data_stay(workspace, table) -> None:
    one = table.register(workspace, "flats")
    table.take(1).register(workspace, "flats", create_new_version=True)
    one.unregister_all_versions()
    assert workspace.datasets == {} and one.name is None and len(one.to_pandas_dataframe()) == 2
    assert table.register(workspace, "flats").version == 1


def test_names_that_are_none_and_files_of_another_workspace_are_refused(workspace, table) -> None:
    with pytest.raises(UserErrorException, match="can't name a dataset"):
        table.register(workspace, "a\nb")
    elsewhere = Workspace.create(f"t-{uuid.uuid4().hex[:12]}")
    with pytest.raises(UserErrorException, match="are in workspace"):
        table.register(elsewhere, "flats")


def test_what_a_later_release_wrote_is_told(workspace, table) -> None:
    table.register(workspace, "flats")
    block = registry.find(workspace, "flats")
    block.definition = {**block.definition, "novelty": 1}
    registry.save(block)
    with pytest.raises(UserErrorException, match="can't be read"):
        Dataset.get_by_name(workspace, "flats")


def test_it_is_shown_with_its_registration(workspace, table) -> None:
    assert "registration" not in repr(table) and "('local', 'a.csv')" in repr(table)
    assert '"version": 1' in repr(table.register(workspace, "flats"))
