"""The settings of a ParallelRunStep: what is refused when they are made, and YAML files of them."""

from __future__ import annotations

import pytest
from stepwell import Environment, OutputFileDatasetConfig, ParallelRunConfig, ParallelRunStep, PipelineParameter
from stepwell.errors import UserErrorException
from stepwell.model.definitions import StepDefinition

REQUIRED = {
    "environment": None,
    "entry_script": "score.py",
    "error_threshold": 0,
    "output_action": "append_row",
    "compute_target": "local",
    "node_count": 1,
}


def config(**settings):
    return ParallelRunConfig(**{**REQUIRED, **settings})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"error_threshold": -2}, "`error_threshold` must be at least -1"),
        ({"output_action": "file"}, "`output_action` must be one of 'append_row', 'summary_only'"),
        ({"node_count": 0}, "`node_count` must be at least 1"),
        ({"process_count_per_node": 0}, "`process_count_per_node` must be at least 1"),
        ({"run_max_try": 0}, "`run_max_try` must be at least 1"),
        ({"run_invocation_timeout": 0}, "`run_invocation_timeout` must be at least 1"),
        ({"logging_level": "LOUD"}, "`logging_level` must be one of"),
        ({"mini_batch_size": "1 meg"}, "`mini_batch_size` is no size"),
        ({"mini_batch_size": 0}, "`mini_batch_size` is no size"),
        ({"mini_batch_size": 1, "partition_keys": ["a"]}, "`mini_batch_size` and `partition_keys` exclude each other"),
        ({"append_row_file_name": "a/b.txt"}, "`append_row_file_name` must be the name of a file"),
        ({"partition_keys": []}, "`partition_keys` must name at least one key"),
        ({"partition_keys": ["a", "a"]}, "`partition_keys` must name at least one key, and each once"),
        ({"entry_script": " "}, "`entry_script` must name a script"),
        ({"allowed_failed_percent": 101}, "`allowed_failed_percent` must be at most 100"),
        ({"allowed_failed_percent": float("nan")}, "`allowed_failed_percent` must be at least 0"),
        ({"error_treshold": 1}, "ParallelRunConfig takes no argument 'error_treshold'"),
        ({"entry_script": 3}, "`entry_script` of ParallelRunConfig must be"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(settings, words):
    with pytest.raises(UserErrorException) as caught:
        config(**settings)
    assert caught.value.title.startswith(words)


def test_words_are_understood_whatever_their_case_and_sizes_with_units():
    made = config(output_action="Append_Row", mini_batch_size="10kB", logging_level="debug")
    assert made.settings["output_action"] == "append_row"
    assert made.settings["mini_batch_size"] == "10kB"


def test_a_script_by_its_whole_path_brings_its_folder(tmp_path):
    assert config(entry_script=str(tmp_path / "score.py")).script_and_folder == ("score.py", str(tmp_path))
    assert config(source_directory="src").script_and_folder == ("score.py", "src")


def test_a_configuration_is_written_to_yaml_and_read_again(tmp_path, shared_workspace):
    environment = Environment("batch")
    environment.register(shared_workspace)
    sizes = {"mini_batch_size": PipelineParameter("size", "1MB"), "allowed_failed_percent": 10}
    made = config(environment=environment, source_directory=tmp_path, environment_variables={"A": "1"}, **sizes)
    made.save_to_yaml(tmp_path / "batch.yml")
    read = ParallelRunConfig.load_yaml(shared_workspace, tmp_path / "batch.yml")
    assert read.environment.name == "batch"
    assert (read.settings, read.script_and_folder, read.environment_variables) == (
        {**made.settings, "mini_batch_size": "1MB"},
        ("score.py", str(tmp_path)),
        {"A": "1"},
    )
    for text, words in (
        ("entry_script: a.py\nretries: 3\n", "has a key 'retries'"),
        ("entry_script: a.py\n", "lacks 'error_threshold'"),
        ("- a\n", "has a key 'list'"),
        ("{", "can't be read"),
    ):
        (tmp_path / "wrong.yml").write_text(text)
        with pytest.raises(UserErrorException, match=words):
            ParallelRunConfig.load_yaml(shared_workspace, tmp_path / "wrong.yml")


def test_a_step_needs_something_to_split_and_a_place_for_rows():
    out = OutputFileDatasetConfig("out")
    with pytest.raises(UserErrorException, match="has nothing to split"):
        ParallelRunStep("score", config(), [], out)
    with pytest.raises(UserErrorException, match="has no output to put them"):
        ParallelRunStep("score", config(), [OutputFileDatasetConfig("a").as_input("a")])


def test_a_definition_is_the_same_after_a_journey_and_names_what_was_left_only_if_it_is_used():
    def defined(**more):
        out, data = OutputFileDatasetConfig("out"), OutputFileDatasetConfig("data").as_input("data")
        step = ParallelRunStep("score", config(**more.pop("settings", {})), [data], out, **more)
        return step.define(step_id="score", producers={}, ids={})

    made = defined()
    assert StepDefinition.from_json(made.to_json()) == made
    assert [port.name for port in made.inputs] == ["data", "earlier mini-batches", "earlier output"]
    summary = {"settings": {"output_action": "summary_only"}}
    for one in (defined(allow_reuse=False), defined(reuse_mini_batches=False), defined(**summary)):
        assert ([port.name for port in one.inputs], [port.name for port in one.outputs]) == (["data"], ["out"])
