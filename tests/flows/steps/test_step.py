"""Steps as their author wrote them: arguments with placeholders, ports, and what is refused before anything is started."""

from __future__ import annotations

import runpy
from pathlib import Path
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
from stepwell.blocks.workspace.references import DataPath, DataPathComputeBinding, DataReference
from stepwell.errors import UserErrorException
from stepwell.flows.steps.scripts.command_step import CommandStep
from stepwell.flows.steps.data.data_transfer_step import DataTransferStep
from stepwell.flows.steps.outputs import OutputFileDatasetConfig, PipelineData
from stepwell.flows.parameters.pipeline_parameter import PipelineParameter
from stepwell.flows.steps.scripts.python_script_step import PythonScriptStep
from stepwell.model.definitions import (
    UnboundInput,
    OutputSource,
    ParameterSource,
    Piece,
    PipelineDefinition,
    StepDefinition,
)

LAKE = SimpleNamespace(name="lake")


def define(step, producers=None):
    return step.define(step_id=step.name, producers=producers or {}, ids={}, source_directory=Path("/code"))


def pieces(step):
    return define(step).arguments


def test_ports_and_parameters_become_placeholders():
    rate, table, model = PipelineParameter("rate", 10), PipelineData("table"), PipelineData("model")
    step = PythonScriptStep("train.py", arguments=["--in", table, rate, model, 0.5], inputs=[table], outputs=[model])
    assert pieces(step) == (
        (Piece("text", "--in"),),
        (Piece("input", "table"),),
        (Piece("parameter", "rate"),),
        (Piece("output", "model"),),
        (Piece("text", "0.5"),),
    )


def test_text_may_name_ports_and_parameters_as_their_str_does():
    rate, table, config = PipelineParameter("rate", 10), PipelineData("table"), OutputFileDatasetConfig("net")
    step = PythonScriptStep(
        "a.py",
        arguments=[f"--in={table}/x.csv", f"{config.arg_val}/w", f"r={rate}", rate],
        inputs=[table],
        outputs=[config],
    )
    assert pieces(step)[:3] == (
        (Piece("text", "--in="), Piece("input", "table"), Piece("text", "/x.csv")),
        (Piece("output", "net"), Piece("text", "/w")),
        (Piece("text", "r="), Piece("parameter", "rate")),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${AZUREML_DATAREFERENCE_table}/x", (Piece("input", "table"), Piece("text", "/x"))),
        ("a=DatasetConsumptionConfig:read/x", (Piece("text", "a="), Piece("input", "read"), Piece("text", "/x"))),
        ("${DatasetOutputConfig:net}_x", (Piece("output", "net"), Piece("text", "_x"))),
        ("DatasetOutputConfig:net_x", (Piece("output", "net"), Piece("text", "_x"))),
        ("${AML_PARAMETER_rate}0", (Piece("parameter", "rate"), Piece("text", "0"))),
        ("${AML_PARAMETER_rate:-1}", (Piece("text", "${AML_PARAMETER_rate:-1}"),)),
    ],
)
def test_references_stand_anywhere_in_a_text_and_in_braces(text, expected):
    table, read = PipelineData("table"), OutputFileDatasetConfig("made").as_input("read")
    more = {"inputs": [table, read], "outputs": [OutputFileDatasetConfig("net")]}
    step = PythonScriptStep("a.py", arguments=[text, PipelineParameter("rate", 1)], params={"key": text}, **more)
    assert pieces(step)[0] == define(step).params["key"] == expected


def test_a_line_for_a_shell_keeps_the_variables_that_the_shell_knows():
    data, config = PipelineData("data"), OutputFileDatasetConfig("net")
    line = f"cp {data} '{data}' \"{data}\" $AML_PARAMETER_x {config.arg_val} {data}_x"
    (found,) = pieces(CommandStep(line, outputs=[data, config]))
    assert found == (
        Piece("text", f"cp {data} '"),
        Piece("output", "data"),
        Piece("text", f'\' "{data}" $AML_PARAMETER_x '),
        Piece("output", "net"),
        Piece("text", " "),
        Piece("output", "data"),
        Piece("text", "_x"),
    )


@pytest.mark.parametrize(
    "text", ["", "$HOME", "$AZUREML_DATAREFERENCE_other", "{rate}", "a\nb", "$(id)", "$AML_PARAMETER_x"]
)
def test_text_that_names_nothing_stays_as_it_is(text):
    assert pieces(PythonScriptStep("a.py", arguments=[text])) == ((Piece("text", text),),)


@pytest.mark.parametrize("value", [None, ["a"], {"a": 1}])
def test_arguments_that_are_no_text_are_refused(value):
    with pytest.raises(UserErrorException, match=r"`arguments\[0\]` of PythonScriptStep must be a text, a number, "):
        PythonScriptStep("a.py", arguments=[value])


def test_an_argument_that_is_neither_input_nor_output_is_refused_by_name():
    with pytest.raises(UserErrorException, match="'table' appears in arguments list but is not in the input list"):
        PythonScriptStep("a.py", arguments=[PipelineData("table")])


def test_a_secret_may_be_a_param_but_no_argument():
    token = PipelineParameter("token", "x")
    with pytest.raises(UserErrorException, match="can't be an argument"):
        PythonScriptStep("a.py", arguments=[token])
    with pytest.raises(UserErrorException, match="can't be an argument"):
        PythonScriptStep("a.py", arguments=["parameter:key"], params={"key": token})
    assert define(PythonScriptStep("a.py", params={"key": token})).params == {"key": (Piece("parameter", "token"),)}


def test_a_param_may_be_called_like_the_parameter_that_fills_it_and_like_no_other():
    rate, other = PipelineParameter("rate", 1), PipelineParameter("other", 1)
    assert define(PythonScriptStep("a.py", params={"rate": rate})).params == {"rate": (Piece("parameter", "rate"),)}
    for value in (3, other):
        with pytest.raises(UserErrorException, match="'rate' both in `params` and as a pipeline parameter"):
            PythonScriptStep("a.py", arguments=[rate], params={"rate": value})


def test_a_param_can_be_named_in_the_arguments():
    assert pieces(PythonScriptStep("a.py", arguments=["parameter:depth"], params={"depth": 3})) == (
        (Piece("text", "3"),),
    )


def test_two_ports_of_one_name_are_refused():
    for kind in ("inputs", "outputs"):
        with pytest.raises(UserErrorException, match=f"two {kind} called 'a'"):
            PythonScriptStep("a.py", **{kind: [PipelineData("a"), PipelineData("a")]})


def test_an_input_called_like_an_output_gets_another_variable():
    old, new = PipelineData("model"), PipelineData("model")
    ports = define(PythonScriptStep("a.py", inputs=[old], outputs=[new]))
    assert ports.inputs[0].variable != ports.outputs[0].variable == "AZUREML_DATAREFERENCE_model"


def test_inputs_come_from_steps_parameters_or_the_caller():
    written, unbound, path = (
        PipelineData("written"),
        PipelineData("unbound"),
        PipelineParameter("path", DataPath(LAKE, "x.csv")),
    )
    step = PythonScriptStep("a.py", inputs=[written, unbound, (path, DataPathComputeBinding("download"))])
    sources = [port.source for port in define(step, {id(written): ("before", "written")}).inputs]
    assert sources == [OutputSource("before", "written"), UnboundInput("unbound"), ParameterSource("path")]


def test_configs_in_arguments_are_outputs_and_inputs_without_being_listed():
    config = OutputFileDatasetConfig("net")
    assert [port.name for port in define(PythonScriptStep("a.py", arguments=[config])).outputs] == ["net"]
    assert [port.name for port in define(PythonScriptStep("b.py", arguments=[config.as_input("old")])).inputs] == [
        "old"
    ]


def test_a_command_is_a_list_or_a_line_for_the_shell():
    listed, line = CommandStep(["echo", "a b"]), CommandStep("echo $HOME | cat")
    assert (define(listed).shell, len(pieces(listed))) == (False, 2)
    assert (define(line).shell, pieces(line), line.name) == (True, ((Piece("text", "echo $HOME | cat"),),), "echo")
    with pytest.raises(UserErrorException, match="needs a command"):
        CommandStep([])


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        (None, ()),
        ("bash", ("bash", "-eo", "pipefail", "-c")),
        ("/bin/dash", ("/bin/dash", "-ec")),
        ("fish", ("fish", "-c")),
        ("bash -c", ("bash", "-c")),
        ("env -i 'my shell' -c", ("env", "-i", "my shell", "-c")),
    ],
)
def test_the_shell_of_a_command_line_can_be_chosen(shell, words):
    step = define(CommandStep("echo", shell=shell))
    assert step.shell and step.shell_command == words


@pytest.mark.parametrize("shell", ["", "'", 7, ["bash", "-c"]])
def test_what_is_no_shell_is_refused(shell):
    with pytest.raises(UserErrorException, match="`shell`"):
        CommandStep("echo", shell=shell)
    with pytest.raises(UserErrorException, match="runs without a shell"):
        CommandStep(["echo"], shell="bash")


def test_a_transfer_needs_both_ends():
    with pytest.raises(UserErrorException, match="needs a source and a destination"):
        DataTransferStep("move", DataReference(LAKE, "a", "a"))


@pytest.mark.parametrize(
    ("source", "target", "more", "words"),
    [
        ("x", "x/y", {}, "would copy a folder into itself"),
        ("", "x", {}, "would copy a folder into itself"),
        ("x/", "./x", {}, "would copy data to where they stand"),
        ("x/y", "x", {}, "would copy data over the folder that holds them"),
        (
            "x/a.txt",
            "x",
            {"source_reference_type": "file", "destination_reference_type": "directory"},
            "to where they stand",
        ),
    ],
)
def test_a_transfer_into_itself_is_refused(source, target, more, words):
    with pytest.raises(UserErrorException, match=words):
        DataTransferStep("move", DataReference(LAKE, "a", source), DataReference(LAKE, "b", target), **more)


def test_a_transfer_beside_its_source_or_to_another_datastore_is_none():
    for source, target in (("x", "xy"), ("x/a.txt", "y"), ("x/y", "x/z")):
        DataTransferStep("move", DataReference(LAKE, "a", source), DataReference(LAKE, "b", target))


def test_blank_names_and_variables_that_no_process_can_have_are_refused():
    with pytest.raises(UserErrorException, match="A step needs a name"):
        PythonScriptStep("a.py", name=" ")
    with pytest.raises(UserErrorException, match="A value in `params` has no name"):
        PythonScriptStep("a.py", params={"": 1})
    for name in ("", "a=b"):
        with pytest.raises(UserErrorException, match="An environment variable can't be called"):
            PythonScriptStep("a.py", environment_variables={name: "1"})


@pytest.mark.parametrize(
    "more", [{"retries": -1}, {"retries": "1"}, {"timeout_seconds": -1}, {"retry_delay_seconds": True}]
)
def test_impossible_numbers_are_refused(more):
    with pytest.raises(UserErrorException, match=f"`{next(iter(more))}`.* must be a (whole )?number"):
        PythonScriptStep("a.py", **more)


@pytest.mark.parametrize("size", ["٣GB", "1.٣", "1e3", "-1", True])
def test_a_size_of_memory_is_written_in_plain_digits(size):
    with pytest.raises(UserErrorException, match="size of memory"):
        PythonScriptStep("a.py", resources={"memory": size})


def test_making_a_step_reads_and_starts_nothing(tmp_path):
    step = PythonScriptStep("missing.py", source_directory=tmp_path / "missing")
    assert define(step).source_directory == str(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


def test_a_definition_survives_json():
    rate, table = PipelineParameter("rate", 0.1), PipelineData("table")
    path = PipelineParameter("path", DataPath(LAKE, "x.csv"))
    step = define(
        PythonScriptStep(
            "a.py", arguments=["-r", rate, table], inputs=[table, (path, DataPathComputeBinding("download"))],
            outputs=[OutputFileDatasetConfig("net", (LAKE, "out"))], params={"n": rate}, hash_paths=["c.json"],
            environment_variables={"A": "1"}, retries=2, timeout_seconds=1.5, strict=True, version="2",
        ),
        {id(table): ("before", "table")},
    )  # fmt: skip
    pipeline = PipelineDefinition("p", "", "ws", (step,), step.parameters)
    assert StepDefinition.from_json(step.to_json()) == step
    assert PipelineDefinition.from_json(pipeline.to_json()) == pipeline


@pytest.mark.parametrize("here", ["", "cwd", "beside cwd", "beside"])
def test_a_script_is_looked_for_beside_the_file_that_makes_the_step_then_in_the_current_directory(
    here, tmp_path, monkeypatch
):
    for folder in ("beside", "cwd"):
        (tmp_path / folder).mkdir()
        if folder in here:
            (tmp_path / folder / "a.py").touch()
    maker = tmp_path / "beside" / "maker.py"
    maker.write_text("from stepwell import PythonScriptStep\nstep = PythonScriptStep('a.py')\n")
    monkeypatch.chdir(tmp_path / "cwd")
    step = runpy.run_path(str(maker))["step"]
    found = step.define(step_id="a", producers={}, ids={}).source_directory
    assert found == str(tmp_path / ("beside" if "beside" in here else "cwd"))


@pytest.mark.parametrize(
    ("more", "words"),
    [({"arguments": "--rate 0.1"}, "`arguments` of PythonScriptStep must be a list, not '--rate 0.1'"),
     ({"hash_paths": "conf"}, "`hash_paths` of PythonScriptStep must be a list"),
     ({"inputs": PipelineData("a")}, "`inputs` of PythonScriptStep must be a list"),
     ({"allow_reuse": "False"}, "`allow_reuse` of PythonScriptStep must be True or False, not 'False'"),
     ({"arguments": [object()]}, "must be a text, a number, a PipelineParameter, or an input or output of the step, not an object"),
     ({"params": {"x": object()}}, "`params['x']` of PythonScriptStep must be a text, a number or a PipelineParameter"),
     ({"environment_variables": {"A": ["b"]}}, "`environment_variables['A']` of PythonScriptStep"),
     ({"compute_target": 5}, "must be a compute target, its name, or a tuple of its name and type, not 5"),
     ({"runconfig": {}}, "`runconfig` of PythonScriptStep must be a RunConfiguration or a ScriptRunConfig, not {}"),
     ({"hash_path": ["conf"]}, "PythonScriptStep takes no argument 'hash_path'"),
     ({"retires": 2}, "PythonScriptStep takes no argument 'retires'")],
)  # fmt: skip
def test_what_is_of_the_wrong_type_or_name_is_refused_in_a_sentence(more, words):
    with pytest.raises(UserErrorException) as caught:
        PythonScriptStep("a.py", **more)
    assert words in caught.value.title and caught.value.hint.endswith(".")


def test_values_that_have_one_text_are_arguments():
    numpy = pytest.importorskip("numpy")
    given = [
        1,
        1.5,
        True,
        numpy.float32(0.5),
        numpy.int8(3),
        numpy.bool_(True),
        Path("a"),
        date(2026, 1, 2),
        Decimal("0.1"),
    ]
    texts = [piece.value for (piece,) in pieces(PythonScriptStep("a.py", arguments=given))]
    assert texts == ["1", "1.5", "True", "0.5", "3", "True", "a", "2026-01-02", "0.1"]
    with pytest.raises(UserErrorException, match="can't be passed to a script"):
        PythonScriptStep("a.py", arguments=[numpy.zeros(2)])


def test_four_bytes_of_memory_are_no_gigabytes():
    with pytest.raises(UserErrorException, match="`memory` of `resources` is 4 bytes") as caught:
        PythonScriptStep("a.py", resources={"memory": 4})
    assert "4 * 10**9" in caught.value.hint


def test_notebooks_are_no_scripts():
    for make in (
        lambda: PythonScriptStep("a.ipynb"),
        lambda: CommandStep(["python3", "a.ipynb"]),
        lambda: CommandStep("python a.ipynb -x"),
    ):
        with pytest.raises(UserErrorException, match="is a notebook") as caught:
            make()
        assert "nbconvert --to script a.ipynb" in caught.value.hint
    CommandStep("papermill a.ipynb out.ipynb")
