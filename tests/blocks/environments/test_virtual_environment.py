"""Environments that are built once, by pip, uv or conda's programs, from a wheel that the test makes; and end to end."""

import base64
import hashlib
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from stepwell.blocks.environments import virtual_environment
from stepwell.blocks.environments.base_interpreter import base_interpreter
from stepwell.blocks.processes.runner import StopSignal
from stepwell.blocks.environments.virtual_environment import COMPLETE, interpreter_of
from stepwell.errors import EnvironmentException, StepCancelledException, UserErrorException
from stepwell.model.definitions import EnvironmentDefinition

BESIDE = Path(sys.executable).with_name("uv")
UV = shutil.which("uv") or (str(BESIDE) if BESIDE.exists() else "")


def wheel(folder, version, more=()):
    """Make a wheel of the package `tiny`, with more files, by hand and return its path."""
    info, path = f"tiny-{version}.dist-info", folder / f"tiny-{version}-py3-none-any.whl"
    files = {
        "tiny.py": f"__version__ = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **dict(more),
    }
    sums = {
        n: base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()).rstrip(b"=").decode() for n, t in files.items()
    }
    lines = [f"{name},sha256={sums[name]},{len(text)}\n" for name, text in files.items()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": "".join(lines) + f"{info}/RECORD,,\n"}.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # of no date: equal bytes each time
    return path


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Return the folder that is all of PATH besides the system's; no uv, no conda."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return folder


@pytest.fixture
def quick(tools):
    """Put uv among the tools where it is installed: it builds in a tenth of pip's time, where only that one is built counts."""
    if UV:
        (tools / "uv").symlink_to(UV)


def tiny(folder, version="1.0", **more):
    return EnvironmentDefinition(requirements=(f"tiny @ {wheel(folder, version).as_uri()}",), **more)


def version_in(interpreter):
    code = "import sys, tiny; assert sys.prefix != sys.base_prefix; print(tiny.__version__)"
    return subprocess.run([interpreter, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_who_inherits_needs_no_environment(tmp_path):
    assert interpreter_of(EnvironmentDefinition(), tmp_path, print) == ""
    assert interpreter_of(EnvironmentDefinition(interpreter="/x/python"), tmp_path, print) == "/x/python"
    assert list(tmp_path.iterdir()) == []


def test_ten_who_ask_at_once_get_one_build(tmp_path, tools):
    environment, said, found = tiny(tmp_path), [], []
    threads = [
        threading.Thread(target=lambda: found.append(interpreter_of(environment, tmp_path / "c", said.append)))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 10 and len(set(found)) == 1 and version_in(found[0]) == "1.0"
    text = "".join(said)
    assert text.count("Building the environment with pip: tiny") == text.count("Built the environment in") == 1
    assert text.count("Waiting for the environment") == 9
    said.clear()
    assert interpreter_of(environment, tmp_path / "c", said.append) == found[0] and said == []


def test_a_half_built_environment_is_built_anew(tmp_path, quick):
    interpreter = Path(interpreter_of(tiny(tmp_path), tmp_path / "c", print))
    (interpreter.parents[1] / COMPLETE).unlink()
    (interpreter.parents[1] / "litter").touch()
    assert version_in(interpreter_of(tiny(tmp_path), tmp_path / "c", print)) == "1.0"
    assert not (interpreter.parents[1] / "litter").exists()


def test_other_bytes_are_another_environment(tmp_path, quick):
    one = interpreter_of(tiny(tmp_path), tmp_path / "c", print)
    with zipfile.ZipFile(tmp_path / "tiny-1.0-py3-none-any.whl", "a") as archive:
        archive.comment = b"other"
    again = EnvironmentDefinition(requirements=(f"tiny @ {(tmp_path / 'tiny-1.0-py3-none-any.whl').as_uri()}",))
    assert interpreter_of(again, tmp_path / "c", print) != one


def test_a_failed_build_says_why_shows_no_secret_and_leaves_nothing(tmp_path, tools, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    url = "http://me:hunter22@127.0.0.1:9/simple"
    environment, said = EnvironmentDefinition(requirements=("tiny-that-is-not==1.0",), index_url=url), []
    commands = []
    real = virtual_environment.run_process
    monkeypatch.setattr(virtual_environment, "run_process", lambda c, *a: (commands.append(c), real(c, *a))[1])
    with pytest.raises(EnvironmentException, match=r"could not be built with pip[\s\S]*tiny-that-is-not") as caught:
        interpreter_of(environment, tmp_path / "c", said.append)
    assert "hunter22" not in "".join(said) + str(caught.value) + str([command.argv for command in commands])
    assert commands[-1].variables["PIP_INDEX_URL"] == url
    assert [path.suffix for path in (tmp_path / "c" / "environments").iterdir()] == [".lock"]


def test_a_stopped_build_leaves_nothing(tmp_path, tools):
    stop = StopSignal()
    stop.stop()
    with pytest.raises(StepCancelledException, match="the run was stopped"):
        interpreter_of(tiny(tmp_path), tmp_path / "c", print, stop)
    assert [path.suffix for path in (tmp_path / "c" / "environments").iterdir()] == [".lock"]


@pytest.mark.skipif(not UV, reason="uv is not installed")
def test_uv_is_used_when_it_is_there(tmp_path, tools):
    (tools / "uv").symlink_to(UV)
    said = []
    assert version_in(interpreter_of(tiny(tmp_path), tmp_path / "c", said.append)) == "1.0"
    assert "Building the environment with uv: tiny" in "".join(said)


def test_micromamba_is_used_for_conda_packages(tmp_path, tools):
    program = tools / "micromamba"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nexec {sys.executable} -m venv "$4"\n')
    program.chmod(0o755)
    environment = tiny(tmp_path, conda=("numpy=1.19",), channels=("a", "b"))
    assert version_in(interpreter_of(environment, tmp_path / "c", print)) == "1.0"
    asked = (tmp_path / "asked").read_text()
    assert "create --yes --prefix" in asked
    assert asked.endswith(
        f"--channel a --channel b python={sys.version_info[0]}.{sys.version_info[1]} pip numpy=1.19\n"
    )


def test_without_conda_other_packages_are_refused(tmp_path, tools):
    with pytest.raises(UserErrorException, match="neither micromamba, mamba nor conda"):
        interpreter_of(EnvironmentDefinition(conda=("cudatoolkit",)), tmp_path / "c", print)


def test_a_python_that_is_not_there_is_named_with_the_one_used(tools):
    base_interpreter.cache_clear()
    found = base_interpreter("3.2.1")
    assert found.program == sys.executable
    assert found.warning.startswith("Python 3.2.1 was not found, so Python 3.")
    fake = tools / "python3.2"
    fake.write_text("#!/bin/sh\necho 3.2.9\n")
    fake.chmod(0o755)
    base_interpreter.cache_clear()
    assert base_interpreter("3.2.1").program == str(fake)
    assert base_interpreter("3.2.1").warning == ""
    base_interpreter.cache_clear()


def test_a_step_runs_in_its_environment_and_says_what_changed(project, tmp_path, quick, monkeypatch):
    from stepwell import CommandStep

    body = "import tiny\nfrom stepwell import Run\nRun.get_context().log('version', tiny.__version__)\n"
    project.script("use.py", body)
    files = {version: wheel(tmp_path, version) for version in ("1.0", "2.0")}
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))

    def run(version):
        asked = [f"tiny=={version}"]
        steps = [
            project.step("use.py", environment=asked),
            CommandStep(
                "python -c 'import tiny; print(tiny.__version__)'",
                name="line",
                source_directory=project.source,
                environment=asked,
            ),
        ]
        summary = project.run(project.pipeline(*steps))
        return {step.id: (step.happened, step.why) for step in summary.steps}

    assert all(files.values())
    assert {happened for happened, _ in run("1.0").values()} == {"ran"}
    for happened, why in run("2.0").values():
        assert happened == "ran"
        assert "package tiny: 1.0 → 2.0" in why
    assert {happened for happened, _ in run("1.0").values()} == {"reused"}


LOOKS_AROUND = """\
import importlib.metadata, importlib.resources, os, pkgutil, subprocess, sys
import tiny, tinydata
assert importlib.metadata.version("tiny") == "3.0"
assert importlib.resources.files(tinydata).joinpath("table.csv").read_text() == "1"
with open(os.path.join(os.path.dirname(tinydata.__file__), "table.csv")) as stream:
    stream.read()
os.listdir(os.path.dirname(tinydata.__file__))
list(pkgutil.iter_modules())
for folder in sys.path[1:]:
    if folder != os.getcwd():
        os.path.isdir(folder) and os.listdir(folder)
subprocess.run([sys.executable, "-c", "import tinydata, nonesuch"], check=False)
"""


def test_a_step_that_looks_around_in_its_environment_is_reused(project, tmp_path, quick, monkeypatch):
    """What stands in an environment of its own, and Stepwell's own files there, are no reads."""
    wheel(tmp_path, "3.0", {"tinydata/__init__.py": "", "tinydata/table.csv": "1"})
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    project.script("use.py", LOOKS_AROUND)

    def run():
        summary = project.run(project.pipeline(project.step("use.py", environment=["tiny==3.0"])))
        assert not summary.warnings
        return [step.happened for step in summary.steps]

    assert run() == ["ran"]
    assert run() == ["reused"]


def test_missing_packages_are_named_before_anything_runs(project):
    project.script("fine.py")
    project.script("lacks.py", "import helper\n")
    project.write("helper.py", "import no_such_thing\ntry:\n    import nor_this\nexcept ImportError:\n    pass\n")
    pipeline = project.pipeline(project.step("fine.py"), project.step("lacks.py"))
    with pytest.raises(UserErrorException, match=r"no_such_thing[\s\S]*lacks.py[\s\S]*helper.py"):
        pipeline.flow()
    assert not project.executions
