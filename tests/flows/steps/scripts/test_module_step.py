"""Steps made of versions of modules: the published snapshot runs, whatever became of its source, and is reused."""

from __future__ import annotations

import pytest
from prefect import flow

from stepwell import InputPortDef, Module, ModuleStep, OutputPortDef, Pipeline, PipelineData
from stepwell.blocks.server.connection import client_settings
from stepwell.errors import UserErrorException
from stepwell.flows.public.pipeline_run import all_runs

ADD = """
import os
number = int(open(os.environ["AZUREML_DATAREFERENCE_number"]).read()) if "AZUREML_DATAREFERENCE_number" in os.environ else 0
with open(args[args.index("--sum") + 1], "w") as file:
    file.write(str(number + int(os.environ["AML_PARAMETER_plus"])))
assert os.environ["AZUREML_DATAREFERENCE_sum"] == args[args.index("--sum") + 1]
"""
NUMBER = InputPortDef("number", default_datastore_mode="mount", is_optional=True, label="A number")
SUM = OutputPortDef("sum", default_datastore_mode="mount", label="The sum")


def published(project, name="add", **more) -> Module:
    module = Module.create(project.workspace, name, "Adds")
    project.script("add.py", ADD)
    module.publish_python_script(
        "add.py",
        "initial",
        inputs=[NUMBER],
        outputs=[SUM],
        params={"plus": 1},
        source_directory=project.source,
        arguments=["--number", NUMBER, "--sum", SUM],
        **more,
    )
    return module


def test_modules_are_wired_in_a_pipeline_and_reused_in_another_whatever_became_of_the_source(project, tmp_path) -> None:
    module = published(project)
    project.write("add.py", "raise SystemExit('the source, not the snapshot')")

    def pipeline(name: str) -> Pipeline:
        first, second = PipelineData(f"{name}_1"), PipelineData(f"{name}_2")
        one = ModuleStep(module, outputs_map={"sum": first}, name="one")
        two = ModuleStep(
            module,
            "1",
            inputs_map={"number": first},
            outputs_map={"sum": second},
            arguments=["--sum", second, first],
            params={"plus": 41},
            name="two",
        )
        assert two.define(step_id="two", producers={}, ids={}).outputs[0].name == "sum"
        return Pipeline(project.workspace, [two], name=name)

    assert project.happened(pipeline("a")) == {"one": "ran", "two": "ran"}
    assert project.happened(pipeline("b")) == {"one": "reused", "two": "reused"}
    assert project.executions == {"add.py": 2}


def test_another_version_runs_and_says_what_changed(project) -> None:
    module = published(project)
    pipeline = lambda: Pipeline(project.workspace, [ModuleStep(module)], name="again")  # noqa: E731
    assert project.happened(pipeline()) == {"add": "ran"}
    project.script("add.py", ADD + "\n# changed\n")
    newer = module.publish_python_script(
        "add.py", "newer", [NUMBER], [SUM], {"plus": 1}, source_directory=project.source, arguments=["--sum", SUM]
    )
    assert newer.version == "2" and module.resolve().version == "2"
    (decision,) = pipeline().plan()
    assert decision.action == "run" and any("add.py" in reason for reason in decision.why), decision
    assert ModuleStep(module, version="1").module_version.version == "1"


def test_what_does_not_fit_is_refused(project) -> None:
    module = published(project)
    with pytest.raises(UserErrorException, match="no output port 'nobody'"):
        ModuleStep(module, outputs_map={"nobody": PipelineData("x")})
    with pytest.raises(UserErrorException, match="has no parameter 'pls'") as refused:
        ModuleStep(module, params={"pls": 2})
    assert refused.value.hint == "Write `plus`."
    with pytest.raises(UserErrorException, match="needs a module"):
        ModuleStep()
    with pytest.raises(UserErrorException, match="no version '9'"):
        ModuleStep(module, version="9")
    strict = Module.create(project.workspace, "strict", "")
    strict.publish_python_script("add.py", "", [InputPortDef("number")], [SUM], source_directory=project.source)
    with pytest.raises(UserErrorException, match="'number' of the module 'strict' is bound to nothing"):
        ModuleStep(strict)
    with pytest.raises(UserErrorException, match="not at"):
        strict.publish_python_script("nothing.py", "", [], [], source_directory=project.source)
    with pytest.raises(UserErrorException, match="two ports called 'sum'"):
        strict.publish_python_script("add.py", "", [InputPortDef("sum")], [SUM], source_directory=project.source)


def test_disabled_versions_are_refused_and_deprecated_ones_warned_of(project) -> None:
    module = published(project)
    version = module.get_default()
    version.deprecate()
    with pytest.warns(UserWarning, match="deprecated"):
        ModuleStep(module)
    module.disable()
    with pytest.raises(UserErrorException, match="disabled"):
        ModuleStep(module_version=None, module=Module.get(project.workspace, name="add"))
    module.enable()
    version.disable()
    with pytest.raises(UserErrorException, match="disabled"):
        ModuleStep(module, version=version.version)


def test_a_u_sql_script_is_a_module_whose_ports_it_names(project) -> None:
    project.write(
        "dear.usql",
        """
        @rows = EXTRACT id string, rent double FROM "@@rents@@" USING Extractors.Csv(skipFirstNRows: 1);
        @dear = SELECT id FROM @rows WHERE rent > @@least@@;
        OUTPUT @dear TO "@@dear@@" USING Outputters.Csv(quoting: false);
        """,
    )
    store = project.workspace.get_default_datastore()
    (store.local_root / "flats.csv").write_text("id,rent\n007,500\n008,900\n")
    module = Module.create(project.workspace, "dear", "")
    module.publish_adla_script(
        "dear.usql",
        "",
        [InputPortDef("rents")],
        [OutputPortDef("dear")],
        {"least": 600},
        degree_of_parallelism=1,
        source_directory=project.source,
    )
    found = PipelineData("found")
    step = ModuleStep(module, inputs_map={"rents": store.path("flats.csv", "flats")}, outputs_map={"dear": found})
    read = project.step("read.py", "print(open(args[0]).read())", arguments=[found], inputs=[found])
    assert project.happened(Pipeline(project.workspace, [step, read])) == {"dear": "ran", "read.py": "ran"}
    (run,) = all_runs(project.workspace)
    assert run.find_step_run("read.py")[0].get_stdout_log().split() == ["008"]


def test_a_program_is_a_module_with_arguments(project) -> None:
    project.write("sort.sh", "#!/bin/sh\nsort < $1 > $2\n").chmod(0o755)
    store = project.workspace.get_default_datastore()
    (store.local_root / "words.txt").write_text("b\na\n")
    words, order = InputPortDef("words"), OutputPortDef("order")
    module = Module.create(project.workspace, "sort", "")
    module.publish_azure_batch(
        "", "local", [words], [order], executable="sort.sh", source_directory=project.source, arguments=[words, order]
    )
    step = ModuleStep(module, inputs_map={"words": store.path("words.txt", "w")})
    assert project.happened(Pipeline(project.workspace, [step])) == {"sort": "ran"}
    (run,) = all_runs(project.workspace)
    assert run.find_step_run("sort")[0].get_output_data("order").local_path.read_text() == "a\nb\n"
    with pytest.raises(UserErrorException, match="no parameters"):
        ModuleStep(module, inputs_map={"words": store.path("words.txt", "w")}, params={"x": 1})


def test_a_module_is_a_task_of_a_flow_whose_inputs_are_its_ports(project) -> None:
    module = published(project)
    add = ModuleStep(module, inputs_map={"number": PipelineData("any")}, params={"plus": 41}, name="more")

    @flow
    def own() -> str:
        made = ModuleStep(module)()
        return project.workspace.path_of(add(number=made["sum"])["sum"]).read_text()

    with client_settings():
        assert own() == "42"
