"""What a step's key is made of: each row of the fingerprint, and what is no part of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell.blocks.environments.conda_dependencies import CondaDependencies
from stepwell.blocks.environments.environment import Environment
from stepwell.blocks.source.snapshot import source_tree
from stepwell.model.digests import bytes_digest
from stepwell.errors import SnapshotException, UserErrorException
from stepwell.flows.keys.binding import bind, template, with_reads
from stepwell.flows.keys.source_directory import EMPTY_SOURCE, Source
from stepwell.model.fingerprint import ABSENT
from stepwell.flows.steps.scripts.command_step import CommandStep
from stepwell.flows.steps.outputs import OutputFileDatasetConfig, PipelineData
from stepwell.flows.parameters.pipeline_parameter import PipelineParameter
from stepwell.flows.steps.scripts.python_script_step import PythonScriptStep
from stepwell.model.definitions import Piece
from stepwell.model.records import Artifact


class FakePackages:
    python_version = "3.11.9"

    def distributions_of(self, modules):
        return {"numpy": "2.0"} if "numpy" in modules else {}

    def places_of(self, modules):
        return {}

    def platform_of(self, distributions):
        return "linux-x86_64" if "numpy" in distributions else ""


@pytest.fixture
def code(tmp_path):
    (tmp_path / "train.py").write_text("import helper, numpy, json\n")
    (tmp_path / "helper.py").write_text("from data import deep\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "deep.py").write_text("x = 1\n")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "other.py").write_text("y = 2\n")
    return tmp_path


def bound(step, code, values=None, inputs=None):
    source = Source(code, source_tree(code)) if code else EMPTY_SOURCE
    definition = step.define(step_id="the id", producers={}, ids={}, source_directory=code)
    defaults = {p.name: p.default for p in definition.parameters}
    return bind(definition, source, {**defaults, **(values or {})}, inputs or {}, FakePackages())


def labels(call):
    return [(row.kind, row.name) for row in call.fingerprint.rows]


def test_a_script_step_has_a_row_for_all_that_decides_its_result(code):
    table, rate = PipelineData("table"), PipelineParameter("rate", 1)
    step = PythonScriptStep(
        "train.py", arguments=["-r", rate, table], inputs=[table], outputs=[PipelineData("model")], params={"n": 3},
        hash_paths=["config.json"], environment_variables={"A": "1"}, version="7",
    )  # fmt: skip
    call = bound(step, code, inputs={"table": Artifact("lake", "somewhere/table", "d" * 64, 3, True)})
    assert labels(call) == [
        ("recipe", ""), ("step type", ""), ("python", ""), ("package", "numpy"), ("platform", ""), ("script", "train.py"),
        ("module", "data/deep.py"), ("module", "helper.py"), ("file", "config.json"), ("argument", "1"), ("argument", "2"),
        ("argument", "3"), ("param", "n"), ("parameter", "rate"), ("way of input", "table"), ("output", "model"),
        ("input", "table"), ("variable", "A"), ("version", ""),
    ]  # fmt: skip
    rows = {(row.kind, row.name): row.value for row in call.fingerprint.rows}
    assert rows["script", "train.py"] == "sha256:" + bytes_digest(b"import helper, numpy, json\n")
    assert rows["argument", "2"] == "{parameter:rate}"
    assert rows["input", "table"] == "sha256:" + "d" * 64
    assert call.declared == ("config.json", "data/deep.py", "helper.py", "train.py")


def test_names_of_steps_places_and_unrelated_files_are_no_part_of_the_key(code):
    one = bound(PythonScriptStep("train.py", name="one"), code)
    (code / "other.py").write_text("y = 3\n")
    (code / "new.txt").write_text("new")
    two = bound(PythonScriptStep("train.py", name="two", retries=3, timeout_seconds=9, strict=True), code)
    assert one.key == two.key
    moved = code.rename(code.with_name("moved"))
    assert bound(PythonScriptStep("train.py"), moved).key == one.key


def test_a_command_depends_on_the_whole_directory_or_on_its_hash_paths(code):
    whole, narrow = CommandStep(["python", "train.py"]), CommandStep(["python", "train.py"], hash_paths=["data"])
    before = bound(whole, code), bound(narrow, code)
    assert ("source directory", "") in labels(before[0])
    assert [label for label in labels(before[1]) if label[0] == "file"] == [
        ("file", "data/deep.py"),
        ("file", "train.py"),
    ]
    (code / "other.py").write_text("y = 3\n")
    after = bound(whole, code), bound(narrow, code)
    assert before[0].key != after[0].key
    assert before[1].key == after[1].key


def test_a_secrets_value_counts_and_is_not_told(code):
    step = PythonScriptStep(
        "train.py", params={"key": PipelineParameter("token", "hunter2")}, environment_variables={"P": "pw1"}
    )
    one, two = bound(step, code), bound(step, code, {"token": "hunter3"})
    assert one.key != two.key
    assert "hunter" not in str(one.fingerprint) and "pw1" not in str(one.fingerprint)


def test_outputs_count_by_name_and_way(code):
    steps = [
        PythonScriptStep("train.py", outputs=[output])
        for output in (
            PipelineData("a"),
            PipelineData("b"),
            PipelineData("a", output_mode="upload"),
            PipelineData("a", output_path_on_compute="x"),
            OutputFileDatasetConfig("a"),
        )
    ]
    assert len({bound(step, code).key for step in steps}) == len(steps)


PIECES = st.builds(
    Piece, st.sampled_from(["text", "input", "output", "parameter"]), st.text("ab{}:", min_size=1, max_size=4)
)


def normal(argument):
    """Return the argument with neighbouring texts joined, names as identifiers."""
    joined = []
    for piece in argument:
        if piece.kind != "text":
            piece = Piece(piece.kind, piece.value.translate({ord(c): "x" for c in "{}:"}))  # noqa: PLW2901
        if joined and joined[-1].kind == piece.kind == "text":
            joined[-1] = Piece("text", joined[-1].value + piece.value)
        else:
            joined.append(piece)
    return tuple(joined)


@given(st.lists(PIECES, max_size=4), st.lists(PIECES, max_size=4))
def test_distinct_arguments_have_distinct_templates(one, two):
    one, two = normal(one), normal(two)
    assert (template(one) == template(two)) is (one == two)


def test_a_missing_script_and_a_missing_hash_path_are_told_before_anything_runs(code):
    with pytest.raises(UserErrorException, match="script not found at: gone.py"):
        bound(PythonScriptStep("gone.py"), code)
    with pytest.raises(SnapshotException, match="`hash_paths` of step 'the id' is not in the source directory"):
        bound(PythonScriptStep("train.py", hash_paths=["nothing"]), code)


def test_hash_paths_may_be_absolute_folders_or_the_whole_directory(code):
    def files(path):
        rows = labels(bound(PythonScriptStep("train.py", hash_paths=[path]), code))
        return {name for kind, name in rows if kind == "file"}

    assert files(str(code / "config.json")) == {"config.json"}
    assert files("data/") == set()  # its only file is a module's row already
    assert files(".") == {"config.json", "other.py"}


def test_hash_paths_may_be_patterns_as_in_an_ignore_file(code):
    for name in ("conf/a.json", "conf/b.json", "conf/deep/c.json", "conf/d.txt", "odd[1].txt"):
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(name)

    def files(*paths):
        rows = labels(bound(PythonScriptStep("train.py", hash_paths=paths), code))
        return [name for kind, name in rows if kind == "file"]

    assert files("conf/*.json") == ["conf/a.json", "conf/b.json"]
    assert files("conf/**/*.json") == ["conf/a.json", "conf/b.json", "conf/deep/c.json"]
    assert files("c?nf/") == files("conf") == ["conf/a.json", "conf/b.json", "conf/d.txt", "conf/deep/c.json"]
    assert files("conf", "!*.json") == ["conf/d.txt"] and files(str(code / "conf" / "[ab].json")) == [
        "conf/a.json",
        "conf/b.json",
    ]
    assert files("odd[1].txt") == ["odd[1].txt"]  # a file of that very name goes before the pattern
    before = bound(PythonScriptStep("train.py", hash_paths=["conf/*.json"]), code)
    (code / "conf" / "new.json").write_text("1")
    assert bound(PythonScriptStep("train.py", hash_paths=["conf/*.json"]), code).key != before.key
    with pytest.raises(SnapshotException, match="No file of the source directory matches a pattern in `hash_paths`"):
        files("conf/*.yaml")


def test_links_count_by_what_they_lead_to(code):
    (code / "link.json").symlink_to("config.json")
    (code / "loop").symlink_to("loop")
    source = Source(code, source_tree(code))
    assert source.content("link.json") == source.content("config.json") != ABSENT
    assert source.content("loop") == source.content("nothing") == ABSENT


def test_reads_that_nothing_declares_become_rows_once(code):
    call = bound(PythonScriptStep("train.py"), code)
    more = with_reads(call, ["config.json", "helper.py"], {"config.json": "sha256:" + "0" * 64})
    assert labels(more) == [*labels(call), ("read", "config.json")]
    again = with_reads(more, ["config.json", "a"], {"config.json": "sha256:" + "0" * 64, "a": "absent"})
    assert labels(again) == [*labels(call), ("read", "a"), ("read", "config.json")]  # sorted, whatever came first
    assert Path(more.definition.source_directory) == code


def test_an_environment_of_its_own_has_a_row_for_what_is_asked(code):
    def rows(step):
        return {(row.kind, row.name): row.value for row in bound(step, code).fingerprint.rows}

    for make in (lambda **more: PythonScriptStep("train.py", **more), lambda **more: CommandStep(["x"], **more)):
        found = rows(make(environment=["numpy==2.4.6", "Six", "--index-url https://me:hunter22@host/simple"]))
        assert found["python", ""] == "3.11.9"
        assert (found["package", "numpy"], found["package", "six"]) == ("2.4.6", "any")
        assert found["package index", ""] == "https://host/simple"
        one, two = (bound(make(environment=[line]), code).fingerprint for line in ("numpy==2.4.6", "numpy==2.4.7"))
        assert two.diff(one) == ("package numpy: 2.4.6 → 2.4.7",)
        loose = bound(make(environment=["numpy>=2"]), code).fingerprint
        assert loose.diff(bound(make(environment=["numpy"]), code).fingerprint) == ("package numpy: any → >=2",)


def test_conda_packages_python_and_image_are_rows_when_they_are_set(code):
    environment = Environment.from_docker_image("e", "busybox:1")
    environment.python.conda_dependencies = CondaDependencies.create(
        conda_packages=["scipy=1.5", "a::six"], python_version="3.11"
    )
    call = bound(PythonScriptStep("train.py", environment=environment), code)
    rows = {(row.kind, row.name): row.value for row in call.fingerprint.rows}
    assert (rows["conda package", "scipy"], rows["conda package", "six"]) == ("=1.5", "any of a")
    assert (rows["python", ""], rows["image", ""]) == ("3.11 (3.11.9)", "busybox:1")
