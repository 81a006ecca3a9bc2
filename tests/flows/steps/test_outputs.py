"""What steps write: names, variables, modes and clones of PipelineData and OutputFileDatasetConfig."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from stepwell.errors import UserErrorException
from stepwell.flows.steps.scripts.command_step import CommandStep
from stepwell.flows.steps.outputs import OutputFileDatasetConfig, PipelineData

LAKE = SimpleNamespace(name="lake")


def test_pipeline_data_is_named_by_its_variable():
    data = PipelineData("model", output_name="net")
    assert str(data) == f"${data.get_env_variable_name()}" == "$AZUREML_DATAREFERENCE_model"
    assert (data.port.name, data.port.variable) == ("net", "AZUREML_DATAREFERENCE_model")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../x", "a\nb"])
def test_names_that_no_folder_or_variable_can_have_are_refused(name):
    with pytest.raises(UserErrorException, match="can't name an input or output"):
        PipelineData(name)


def test_modes_that_do_not_write_are_refused():
    assert PipelineData("a", output_mode="upload").port.mode == "upload"
    with pytest.raises(UserErrorException, match="mode 'download' is not known"):
        PipelineData("a", output_mode="download")


def test_data_as_an_input_has_a_name_and_a_mode_of_its_own():
    data = PipelineData("model")
    assert [(i.name, i.mode) for i in (data.as_mount(), data.as_download(), data.as_input("net"))] == [
        ("model", "mount"),
        ("model", "download"),
        ("net", "mount"),
    ]
    assert data.as_input("net").as_download("here").path_on_compute == "here"


def test_a_config_goes_to_its_own_place_by_default():
    port = OutputFileDatasetConfig("net", destination=LAKE).port
    assert (port.datastore, port.destination, port.variable) == ("lake", "dataset/{run-id}/{output-name}", "net")
    assert OutputFileDatasetConfig("net", destination=(LAKE, "a/b")).port.destination == "a/b"


def test_a_clone_of_a_config_is_the_same_output():
    config = OutputFileDatasetConfig("net", destination=LAKE)
    clone = config.as_upload().as_mount().as_upload()
    assert clone.original is config and clone is not config
    step = CommandStep(["cp", "a", clone], name="write")
    assert config.producer is step
    assert [output.port.mode for output in step.outputs] == ["upload"]


def test_a_config_whose_name_no_variable_can_have_is_refused():
    with pytest.raises(UserErrorException, match="can't name an output"):
        OutputFileDatasetConfig("a-b")
