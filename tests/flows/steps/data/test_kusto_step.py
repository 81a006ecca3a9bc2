"""`KustoStep`: a query as a step of a pipeline, on a cluster that is named, and refused otherwise."""

from __future__ import annotations

import pytest
from kusto_server import kusto

from stepwell import ComputeTarget, KustoCompute, KustoStep, LocalCompute, OutputFileDatasetConfig, PipelineData
from stepwell.errors import ComputeTargetException, UserErrorException

KEY = "kusto-key-not-to-be-shown"


def test_a_query_is_a_step_of_a_pipeline(project) -> None:
    (project.source / "query").mkdir()
    (project.source / "query" / "rents.kql").write_text("Rents | take 2")
    rents = PipelineData("rents")
    read = project.step("read.py", "print(open(args[0] + '/result.csv').read())", arguments=[rents], inputs=[rents])
    with kusto() as server:
        configuration = KustoCompute.attach_configuration(kusto_connection_string=server.url)
        target = ComputeTarget.attach(project.workspace, "cluster", configuration)

        def pipeline(**more):
            ask = KustoStep("ask", target, "flats", project.source / "query", rents, {"most": 9}, **more)
            return project.pipeline(ask, read)

        summary = project.run(pipeline())
        assert {step.id: step.happened for step in summary.steps} == {"ask": "ran", "read.py": "ran"}
        assert project.happened(pipeline()) == {"ask": "ran", "read.py": "reused"}
        assert project.happened(pipeline(allow_reuse=True)) == {"ask": "reused", "read.py": "reused"}
        assert len(server.asked) == 2
        (project.source / "query" / "rents.kql").write_text("Rents | take 3")
        decision = pipeline(allow_reuse=True).plan()[0]
    assert decision.action == "run" and any("rents.kql" in reason for reason in decision.why)


def test_without_a_cluster_it_is_refused(project) -> None:
    (project.source / "q.kql").write_text("Rents")
    output = OutputFileDatasetConfig("rents")
    with pytest.raises(ComputeTargetException, match="needs a cluster"):
        KustoCompute.attach_configuration("group", "workspace")
    with pytest.raises(ComputeTargetException, match="needs a key"):
        KustoCompute.attach_configuration(kusto_connection_string="https://x", application_id="a")
    with pytest.raises(UserErrorException, match="which a LocalCompute is not"):
        KustoStep("ask", LocalCompute(), "flats", project.source, output)
    with pytest.raises(UserErrorException, match="needs a Kusto cluster"):
        project.pipeline(KustoStep("ask", "local", "flats", project.source, output)).plan()
    (project.source / "other.kql").write_text("")
    with pytest.raises(UserErrorException, match="must hold one file"):
        KustoStep("ask", "local", "flats", project.source, output)


def test_the_key_of_the_application_is_a_secret_and_only_queries_run_there(project) -> None:
    configuration = KustoCompute.attach_configuration(
        "group", "workspace", None, "tenant", "https://flats.kusto.windows.net", "application", KEY
    )
    ComputeTarget.attach(project.workspace, "cluster", configuration)
    found = KustoCompute(project.workspace, "cluster")
    assert found.application_key.get_secret_value() == KEY
    assert KEY not in f"{found.settings()} {found.serialize()} {found!r}"
    with pytest.raises(ComputeTargetException, match="runs queries alone"):
        project.pipeline(project.step("a.py", "", compute_target=found)).plan()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"database_name": " "}, "names no database"),
        ({"compute_target": ""}, "names no cluster"),
        ({"parameter_dict": {"a b": 1}}, "can't declare a parameter called 'a b'"),
        ({"name": ""}, "A step needs a name"),
    ],
)
def test_what_no_query_can_be_is_refused_before_anything_is_asked(tmp_path, more, said) -> None:
    (tmp_path / "q.kql").write_text("declare query_parameters(most:int);\nRents | take most")
    given = {"name": "ask", "compute_target": "cluster", "database_name": "flats", "query_directory": tmp_path, "output": PipelineData("o")}  # fmt: skip
    assert KustoStep(**given, parameter_dict={"most": 3}).name == "ask"
    with pytest.raises(UserErrorException, match=said):
        KustoStep(**{**given, **more})


def test_a_file_that_holds_no_query_and_what_is_no_address_are_refused(tmp_path) -> None:
    for held, said in ((b" \n// Rents\n", "is empty"), (b"\xff\xfe\x00\xd8", "is no text in UTF-8")):
        (tmp_path / "q.kql").write_bytes(held)
        with pytest.raises(UserErrorException, match=said):
            KustoStep("ask", "cluster", "flats", tmp_path, PipelineData("o"))
    for address in ("banana", "https://"):
        with pytest.raises(ComputeTargetException, match="is no address of a cluster"):
            KustoCompute.attach_configuration(kusto_connection_string=address)
    named = "Data Source=https://flats.kusto.windows.net;Initial Catalog=flats"
    assert KustoCompute.attach_configuration(kusto_connection_string=named).kusto_connection_string == named
