"""Modules: names over versions, each a snapshot with ports that the store keeps."""

from __future__ import annotations

import pytest

from stepwell import InputPortDef, Module, ModuleVersion, OutputPortDef, RunConfiguration
from stepwell.blocks.store import maintenance
from stepwell.errors import UserErrorException


def version_of(module: Module, folder, **more) -> ModuleVersion:
    (folder / "train.py").write_text("print(1)")
    return module.publish_python_script("train.py", "trains", [], [], source_directory=folder, **more)


def test_versions_count_up_and_the_default_is_the_newest_until_one_is_chosen(workspace, tmp_path) -> None:
    module = Module.create(workspace, "train", "Trains")
    first, second = version_of(module, tmp_path), version_of(module, tmp_path)
    named = version_of(module, tmp_path, version="2026-11", is_default=True)
    assert [first.version, second.version, named.version] == ["1", "2", "2026-11"]
    found = Module.get(workspace, name="train")
    assert found.default_version == "2026-11" == found.get_default_version() and found.get_default().id == named.id
    found.set_default_version(first.id)
    assert Module.get(workspace, module.id).resolve().version == "1"
    found.set_default_version("2")
    assert module.get_default().version == "2" and module.resolve("1").id == first.id
    assert [tuple(one) for one in module.module_version_list()] == [
        ("1", first.id),
        ("2", second.id),
        ("2026-11", named.id),
    ]
    assert ModuleVersion.get(workspace, first.id).description == "trains"
    with pytest.raises(UserErrorException, match="a version '1' already"):
        version_of(module, tmp_path, version="1")
    with pytest.raises(UserErrorException, match="no version '7'"):
        module.set_default_version("7")


def test_ports_params_and_environment_are_kept(workspace, tmp_path) -> None:
    module = Module.create(workspace, "kept", "")
    (tmp_path / "a.py").write_text("")
    port, out = InputPortDef("rows", ["csv"], is_optional=True, label="Rows"), OutputPortDef("model", label="A model")
    configuration = RunConfiguration()
    configuration.environment_variables = {"LEVEL": "3"}
    version = module.publish_python_script(
        "a.py", "", [port], [out], {"rate": 0.5}, source_directory=tmp_path, category="train", runconfig=configuration
    )
    found = ModuleVersion.get(workspace, version.id)
    assert found.inputs[0].serialize() == port.serialize() and found.outputs[0].serialize() == out.serialize()
    assert found.params == {"rate": 0.5} and found.block.environment["variables"] == {"LEVEL": "3"}


def test_names_are_unique_and_can_be_changed(workspace) -> None:
    module = Module.create(workspace, "one", "first")
    with pytest.raises(UserErrorException, match="a module 'one' already"):
        Module.create(workspace, "one", "second")
    other = Module.create(workspace, "two", "second")
    with pytest.raises(UserErrorException, match="already"):
        other.set_name("one")
    module.set_name("uno")
    module.set_description("said again")
    assert [one.name for one in Module.list(workspace)] == ["two", "uno"]
    assert Module.get(workspace, name="uno").description == "said again"
    with pytest.raises(UserErrorException, match="no module 'one'"):
        Module.get(workspace, name="one")


def test_the_snapshot_of_a_version_survives_the_collector(workspace, tmp_path) -> None:
    version = version_of(Module.create(workspace, "lasting", ""), tmp_path)
    maintenance.collect(workspace.store, days=0)
    assert workspace.store.tree_intact(version.block.snapshot)


def test_publish_takes_v1_s_execution_type_of_scripts_alone(workspace, tmp_path) -> None:
    module = Module.create(workspace, "typed", "")
    (tmp_path / "a.py").write_text("")
    version = module.publish("", "esCloud", [], [], {"rate": 1}, content_path=tmp_path, script_name="a.py")
    assert (version.kind, version.script, version.params) == ("python", "a.py", {"rate": 1})
    with pytest.raises(UserErrorException, match="AzureBatchCloud"):
        module.publish("", "AzureBatchCloud", [], [])
    with pytest.raises(UserErrorException, match="needs the module's script"):
        module.publish("", "escloud", [], [])
