"""Own code and packages count, whatever leads to them: by files where people work, by versions where they are installed."""

from __future__ import annotations

import os
import shutil
import sys

import pytest
from stepwell import CommandStep, PipelineData
from stepwell.blocks.environments.packages import Packages
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.keys.environment_rows import inherited_rows, package_rows
from stepwell.model.definitions import EnvironmentDefinition

WRITE = "open(args[0], 'w').write(own.VALUE)\n"


def own_package(folder, text="one"):
    (folder / "own").mkdir(parents=True, exist_ok=True)
    (folder / "own" / "__init__.py").write_text("from own.part import VALUE\n")
    (folder / "own" / "part.py").write_text(f"VALUE = {text!r}\n")


def install(site, name, version, requires="", *, pure=True):
    """Install a distribution with one module of the same name into a folder."""
    for path in site.glob(f"{name}-*"):
        shutil.rmtree(path)
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}")
    (info / "RECORD").write_text(f"{name}.py,,\n")
    (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nRoot-Is-Purelib: {str(pure).lower()}\n")
    (site / f"{name}.py").write_text(f"VALUE = {version!r}\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "lib" / "site-packages"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def one_step(project, body, **more):
    out = PipelineData("out")
    return project.pipeline(project.step("jobs/a.py", body, name="a", arguments=[out], outputs=[out], **more))


def written(project, pipeline, name="out"):
    [result] = pipeline().values()
    return project.workspace.path_of(result[name]).read_text()


def reasons(pipeline):
    [decision] = pipeline.plan()
    return decision.action, decision.why


@pytest.mark.parametrize("strict", [False, True])
def test_an_own_package_in_the_source_directory_is_a_local_module(project, monkeypatch, strict):
    own_package(project.source / "src")
    monkeypatch.setenv("PYTHONPATH", str(project.source / "src"))
    pipeline = one_step(project, "import own\n" + WRITE, strict=strict)
    assert written(project, pipeline) == "one"
    own_package(project.source / "src", "two")
    assert reasons(pipeline) == ("run", ("module src/own/part.py changed",))
    assert written(project, pipeline) == "two"


@pytest.mark.parametrize("strict", [False, True])
def test_an_own_package_elsewhere_counts_by_its_files(project, monkeypatch, tmp_path, strict):
    own_package(tmp_path / "elsewhere")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    pipeline = one_step(project, "import own\n" + WRITE, strict=strict)
    assert written(project, pipeline) == "one"
    assert project.happened(pipeline) == {"a": "reused"}
    own_package(tmp_path / "elsewhere", "two")
    pipeline.plan()
    assert written(project, pipeline) == "two"
    own_package(tmp_path / "elsewhere", "three")
    assert reasons(pipeline) == ("run", ("package own changed (part.py changed)",))


def test_a_run_imports_one_state_though_the_package_is_edited_meanwhile(project, monkeypatch, tmp_path):
    for folder in (project.source / "src", tmp_path / "elsewhere"):
        own_package(folder)
        path = folder / "own" / "part.py"
        monkeypatch.setenv("PYTHONPATH", str(folder))
        body = f"open({str(path)!r}, 'w').write('VALUE = 2')\nimport own\nopen(args[0], 'w').write(own.VALUE)\n"
        pipeline = one_step(project, body + "import subprocess\n")
        assert written(project, pipeline) == "one"


@pytest.mark.parametrize("place", ["source/src", "elsewhere"])
def test_a_published_pipeline_runs_the_own_code_of_its_publication(project, monkeypatch, tmp_path, place):
    folder = project.folder / place
    own_package(folder, "published")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    published = one_step(project, "import own\n" + WRITE).publish()
    own_package(folder, "edited")
    for gone in (False, True):
        if gone:  # as on a machine that never had it
            os.rename(folder / "own", folder / "moved")
        run = published.submit(project.workspace, "e", regenerate_outputs=True)
        assert run.wait_for_completion(show_output=False) == "Finished"
        [step] = run.get_steps()
        written = step.get_output_data("out").download(tmp_path / f"got {gone}")
        assert [path.read_text() for path in (tmp_path / f"got {gone}").rglob("*") if path.is_file()] == ["published"]


def test_a_package_imported_by_a_computed_name_counts_from_then_on(project, site):
    install(site, "plugin", "1.0")
    body = "import importlib\nown = importlib.import_module('plu' + 'gin')\n" + WRITE
    pipeline = one_step(project, body)
    assert written(project, pipeline) == "1.0"
    assert project.happened(pipeline) == {"a": "reused"}
    install(site, "plugin", "2.0")
    assert reasons(pipeline) == ("run", ("package plugin: 1.0 → 2.0",))
    assert written(project, pipeline) == "2.0"
    project.step("jobs/a.py", body + "# changed\n")
    assert reasons(pipeline) == ("run", ("script jobs/a.py changed",))


def test_an_optional_part_of_a_library_counts_from_then_on_in_child_processes_too(project, site):
    install(site, "umbrella", "1.0", "Requires-Dist: engine; extra == 'fast'\n")
    (site / "umbrella.py").write_text("def value():\n    import engine\n    return engine.VALUE\n")
    install(site, "engine", "1.0")
    body = (
        "import subprocess, umbrella\n"
        "code = 'import umbrella; print(umbrella.value(), end=str())'\n"
        "found = subprocess.run([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True).stdout\n"
        "open(args[0], 'w').write(found)\n"
    )
    pipeline = one_step(project, body)
    assert written(project, pipeline) == "1.0"
    assert project.happened(pipeline) == {"a": "reused"}
    install(site, "engine", "3.0")
    assert reasons(pipeline) == ("run", ("package engine: 1.0 → 3.0",))


COMMANDS = {
    "module": ["python", "-u", "-m", "proj.train"],
    "script": ["python", "proj/train.py"],
    "text": "python -m proj.train {out}",
    "shell script": ["sh", "run.sh"],
    "inline": ["python", "-c", "import sys, plugin; open(sys.argv[1], 'w').write(plugin.VALUE)"],
}


@pytest.mark.parametrize("way", COMMANDS)
def test_a_commands_python_counts_with_its_packages(project, site, way):
    install(site, "plugin", "1.0")
    project.write("proj/__init__.py", "")
    project.write("proj/train.py", "import sys, plugin\nopen(sys.argv[1], 'w').write(plugin.VALUE)\n")
    project.write("run.sh", 'python -m proj.train "$1"\n')
    out, command = PipelineData("out"), COMMANDS[way]
    command = command.format(out="$AZUREML_DATAREFERENCE_out") if isinstance(command, str) else [*command, out]
    step = CommandStep(command, name="a", outputs=[out], source_directory=project.source, hash_paths=["proj"])
    pipeline = project.pipeline(step)
    assert reasons(pipeline)[0] == "run"
    assert written(project, pipeline) == "1.0"
    install(site, "plugin", "2.0")
    assert reasons(pipeline) == ("run", ("package plugin: 1.0 → 2.0",))
    assert written(project, pipeline) == "2.0"


def test_an_undeclared_read_of_a_commands_script_counts(project, tmp_path):
    side = tmp_path / "side.txt"
    side.write_text("one")
    project.write("train.py", f"import sys\nopen(sys.argv[1], 'w').write(open({str(side)!r}).read())\n")
    out = PipelineData("out")
    pipeline = project.pipeline(
        CommandStep(["python", "train.py", out], name="a", outputs=[out], source_directory=project.source)
    )
    assert written(project, pipeline) == "one"
    side.write_text("two")
    assert written(project, pipeline) == "two"


def test_programs_that_are_python_count_by_their_packages(project):
    project.write("x.txt", "")
    commands = {"a": ["pytest", "--version"], "b": "python -c 'pass' > out"}
    steps = [CommandStep(text, name=name, source_directory=project.source) for name, text in commands.items()]
    context = RunContext(project.workspace, "bound")
    found = {
        step.name: {(row.kind, row.name) for row in context.call(step, {}, {}).fingerprint.rows}
        for step in project.pipeline(*steps).definition.steps
    }
    packages = {("command package", "pytest"), ("command package", "pluggy")}
    assert packages <= found["a"] and not packages & found["b"]


def test_a_plan_says_which_programs_no_row_covers(project):
    project.write("run.sh", "Rscript fit.R | tee log\npytest\n")
    steps = [
        CommandStep(command, name=name, source_directory=project.source)
        for name, command in {"a": "sh run.sh", "b": ["python", "-c", "pass"], "c": "cp x y; echo Rscript"}.items()
    ]
    project.write("x", "")
    said = {decision.step: decision.why[-1] for decision in project.pipeline(*steps).plan()}
    never = "no earlier result of this step is known"
    assert said == {"a": "not covered: which Rscript is installed", "b": never, "c": never}


@pytest.mark.parametrize(
    ("isolated", "owners", "foreign"),
    [
        (False, {"stepwell-azureml"}, set()),
        (False, set(), set()),
        (False, {"azureml-core"}, {"azureml"}),
        (True, set(), {"azureml"}),
    ],
)
def test_what_stands_in_for_a_companion_in_a_step_is_found(isolated, owners, foreign):
    from types import SimpleNamespace

    from stepwell.flows.keys.environment_rows import foreign_companions

    environment = SimpleNamespace(isolated=isolated, image="", dockerfile="")
    call = SimpleNamespace(definition=SimpleNamespace(environment=environment))
    packages = SimpleNamespace(owners_of=lambda names: frozenset(owners))
    assert foreign_companions(call, {"azureml", "numpy"}, packages) == foreign
    assert foreign_companions(call, {"numpy"}, packages) == set()


def test_results_of_compiled_packages_are_those_of_one_platform(site):
    install(site, "pure", "1.0")
    install(site, "compiled", "1.0", pure=False)
    packages = Packages()
    assert packages.platform_of(["pure"]) == ""
    assert packages.platform_of(["pure", "compiled"]) == f"{sys.platform}-{os.uname().machine}"
    (site / "compiled-1.0.dist-info" / "WHEEL").unlink()  # as Debian installs: it may be compiled
    assert Packages().platform_of(["compiled"])
    rows = {row.kind for row in inherited_rows(["compiled"], packages, ())}
    assert "platform" in rows
    assert "platform" not in {row.kind for row in inherited_rows(["pure"], packages, ())}


def test_an_environment_of_its_own_is_that_of_one_platform():
    environment = EnvironmentDefinition(requirements=("numpy==1.26.4",))
    kinds = [row.kind for row in package_rows(environment, "3.11.7")]
    assert kinds == ["python", "package", "platform"]
