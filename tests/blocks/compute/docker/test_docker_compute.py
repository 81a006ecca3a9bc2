"""Steps in containers of a real engine: what they see, what they may not, how they end, and that nothing stays behind."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from docker_packages import PASSWORD, index, write_wheel
from waiting import eventually, in_time

from stepwell import CommandStep, LocalData, PipelineData, PipelineParameter
from stepwell.blocks.compute.docker.docker_compute import DockerCompute
from stepwell.errors import ComputeTargetException
from stepwell.model.definitions import EnvironmentDefinition, Resources, StepDefinition

SOURCE = Path(__file__).resolve().parents[4] / "src"
HARD = [
    "",
    " ",
    "a b",
    "new\nline\r",
    "$(id)",
    "'\"\\",
    "*",
    "ü→\U0001f600",
    "{payload}",
    "%s",
    "\x01\x7f",
    "--",
    "x" * 200_000,
]


@pytest.fixture
def target(project, docker_engine):
    """Return a function that attaches a Docker target; nothing of its steps is left when the test ends."""

    def attach(**more):
        compute = DockerCompute(**{"image": docker_engine.image, "build_network": "host", **more})
        return compute.attach_to(project.workspace, "docker")

    attach()
    yield attach
    assert docker_engine.nothing_left(), docker_engine.left()


def step_of(project, name, body, **more):
    project.write(name, body)
    return project.step(name, compute_target="docker", **more)


def run(project, *steps, **parameters):
    """Run a pipeline of the steps, and return the last step's summary and its run."""
    summary = project.run(project.pipeline(*steps), **parameters)
    (last,) = [step for step in summary.steps if step.id == steps[-1].name]
    return last, project.workspace.get_run(summary.run_id).find_step_run(last.id)[0]


def wrote(project, name, body, **more):
    """Run a step and return its output; the script finds the path in `out` and its arguments in `args`."""
    out = PipelineData("out")
    head = "import json, os, sys\nout, args = sys.argv[1], sys.argv[2:]\n"
    arguments = [out, *more.pop("arguments", [])]
    step = step_of(project, name, head + body, arguments=arguments, outputs=[out], **more)
    ended, found = run(project, step)
    assert ended.happened == "ran", ended.error
    return found.get_output_data("out").local_path


def as_json(path):
    return json.loads(path.read_text())


# What a step sees ---------------------------------------------------------------------------------------------------


WHO = "os.mkdir(out); open(out + '/x', 'w').write(json.dumps([os.getuid(), os.getgid()]))"


def test_a_step_runs_as_the_caller_or_as_nobody_and_its_files_are_the_callers(project, target):
    path = wrote(project, "a.py", WHO)
    assert as_json(path / "x") == ([os.getuid(), os.getgid()] if os.getuid() else [65534, 65534])
    assert {(p.stat().st_uid, p.stat().st_gid) for p in (path, path / "x")} == {(os.getuid(), os.getgid())}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give steps another user")
@pytest.mark.parametrize(("user", "found"), [("root", [0, 0]), ("1234", [1234, 1234]), ("1234:56", [1234, 56])])
def test_a_step_is_root_or_somebody_else_if_asked(project, target, user, found):
    target(user=user)
    path = wrote(project, "a.py", WHO)
    assert as_json(path / "x") == found
    assert {(p.stat().st_uid, p.stat().st_gid) for p in (path, path / "x")} == {(os.getuid(), os.getgid())}


def test_a_step_has_no_capabilities_and_a_limit_of_processes(project, target):
    target(pids_limit=40)
    body = """
import time
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
made = 0
try:
    while made < 200:
        if os.fork() == 0:
            time.sleep(900)
        made += 1
except BlockingIOError:
    pass
json.dump([status['CapEff'].strip(), status['CapBnd'].strip(), status['NoNewPrivs'].strip(), made < 40], open(out, 'w'))
"""
    assert as_json(wrote(project, "a.py", body)) == ["0" * 16, "0" * 16, "1", True]


def test_arguments_arrive_byte_for_byte(project, target):
    assert as_json(wrote(project, "a.py", "json.dump(args, open(out, 'w'))", arguments=HARD)) == HARD


def test_a_command_of_words_meets_no_shell(project, target):
    out, words = PipelineData("out"), [word for word in HARD if len(word) < 100_000]
    code = "import json, sys; json.dump(sys.argv[2:], open(sys.argv[1], 'w'))"
    project.write("x", "")
    step = CommandStep(
        ["python", "-c", code, out, *words], name="dump", outputs=[out], source_directory=project.source, compute_target="docker"
    )  # fmt: skip
    ended, found = run(project, step)
    assert ended.happened == "ran", ended.error
    assert as_json(found.get_output_data("out").local_path) == words


def test_what_is_no_text_is_refused_in_words(project, target):
    project.write("x", "")
    step = CommandStep(["echo", "\udcff"], name="c", source_directory=project.source, compute_target="docker")
    ended, _ = run(project, step)
    assert "is no text" in ended.error


def test_nothing_of_this_machine_but_what_is_mounted_can_be_seen(project, target, monkeypatch):
    monkeypatch.setenv("ONLY_HERE", "yes")
    body = """
    import socket
    facts = {"here": "ONLY_HERE" in os.environ, "host": os.path.exists(args[0]), "links": os.listdir("/sys/class/net")}
    try:
        socket.create_connection(("127.0.0.1", int(args[1])), 1)
        facts["network"] = True
    except OSError:
        facts["network"] = False
    json.dump(facts, open(out, "w"))
    """
    import socket
    import textwrap

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = as_json(wrote(project, "a.py", textwrap.dedent(body), arguments=[str(project.folder), port]))
        assert found == {"here": False, "host": False, "links": ["lo"], "network": False}
        target(network="host")
        assert as_json(wrote(project, "b.py", textwrap.dedent(body), arguments=[str(project.folder), port]))["network"]


def test_inputs_can_be_read_but_not_written(project, target):
    data = project.workspace.get_default_datastore()
    (data.local_root / "raw").mkdir()
    (data.local_root / "raw" / "x.txt").write_text("in a folder")
    (data.local_root / "one.csv").write_text("a file")
    folder, file = data.path("raw", "folder").as_mount(), LocalData(data.local_root / "one.csv", "file")
    body = """
texts, refused = [open(args[0] + '/x.txt').read(), open(args[1]).read(), os.path.basename(args[1])], []
for path in (args[0] + '/x.txt', args[0] + '/new', args[1], '/stepwell/bundle/new'):
    try:
        open(path, 'a').write('!')
    except OSError as error:
        refused.append(error.errno)
json.dump([texts, refused], open(out, 'w'))
"""
    found = as_json(wrote(project, "a.py", body, arguments=[folder, file], inputs=[folder, file]))
    assert found[0] == ["in a folder", "a file", "one.csv"]
    assert len(found[1]) == 4 and set(found[1]) <= {errno.EROFS, errno.EACCES}  # the latter as nobody
    assert (data.local_root / "raw" / "x.txt").read_text() == "in a folder"


def test_limits_are_set(project, target):
    target(memory="300m", shm_size="5m")
    body = """
def first(*paths):
    return next(open(path).read().strip() for path in paths if os.path.exists(path))
limit = first('/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes')
cpu = first('/sys/fs/cgroup/cpu.max', '/sys/fs/cgroup/cpu/cpu.cfs_quota_us').split()[0]
shared = os.statvfs('/dev/shm')
json.dump([int(limit), int(cpu), shared.f_blocks * shared.f_frsize], open(out, 'w'))
"""
    found = as_json(wrote(project, "a.py", body, resources=Resources(cpus=0.5)))
    assert found == [300 << 20, 50_000, 5 << 20]
    assert as_json(wrote(project, "b.py", body, resources=Resources(memory=200 << 20)))[0] == 200 << 20


# How it ends --------------------------------------------------------------------------------------------------------


def test_a_step_that_takes_too_much_memory_is_told_so(project, target):
    target(memory="64m")
    ended, found = run(project, step_of(project, "a.py", "x = bytearray(300 << 20)\nprint(len(x))"))
    assert "ended by signal 9" in ended.error and "more than its 64 MiB of memory" in ended.error
    assert "64 MiB" in (found.folder / "logs" / "70_driver_log.txt").read_text()


def test_a_program_that_is_not_in_the_image_is_told(project, target):
    project.write("x", "")
    step = CommandStep(["nosuchprogram", "1"], name="c", source_directory=project.source, compute_target="docker")
    ended, _ = run(project, step)
    assert "The program 'nosuchprogram' was not found in the image" in ended.error


@pytest.mark.parametrize("secret", [False, True])
def test_what_is_too_long_for_a_process_is_told(project, target, secret):
    project.write("x", "")
    more = {"PASSWORD": "123456789"} if secret else {}
    words = ["echo", "x" * 200_000]
    step = CommandStep(
        words, name="c", source_directory=project.source, compute_target="docker", environment_variables=more
    )  # fmt: skip
    ended, _ = run(project, step)
    assert "too long" in ended.error


def test_output_comes_while_the_step_runs_and_each_stream_apart(project, target, docker_engine):
    from stepwell import Experiment

    body = """
import sys, time
print("first", flush=True)
print("other", file=sys.stderr, flush=True)
time.sleep(900)
"""
    experiment = Experiment(project.workspace, "live")
    begun = experiment.submit(project.pipeline(step_of(project, "a.py", body)))

    def heard(stream):
        return "".join(path.read_text() for path in begun.folder.path.glob(f"steps/*/logs/{stream}.txt"))

    eventually(lambda: heard("stdout") and heard("stderr").endswith("\n"))
    assert [path.read_text() for path in begun.folder.path.glob("steps/*/logs/stdout.txt")] == ["first\n"]
    assert heard("stderr") == "other\n" and len(docker_engine.left()) == 1
    begun.cancel()
    begun.wait_for_completion(raise_on_error=False)
    assert begun.get_status() == "Canceled"


def test_who_is_asked_to_end_may_say_something_before_and_who_does_not_is_killed(project, target, docker_engine):
    polite = """
import signal, subprocess, sys, time
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(900)'])
def bye(*_):
    print('bye', flush=True)
    raise SystemExit(0)
signal.signal(signal.SIGTERM, bye)
print('up', flush=True)
time.sleep(900)
"""

    def limited(name, body):
        def attempt(seconds):
            ended, found = run(project, step_of(project, name, body, timeout_seconds=seconds))
            assert f"took longer than its {seconds:g} seconds" in ended.error
            return (found.folder / "logs" / "stdout.txt").read_text()

        return in_time(attempt, lambda text: "up" in text)

    assert limited("polite.py", polite) == "up\nbye\n"
    deaf = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(900)"
    )
    assert limited("deaf.py", deaf) == "up\n"


def test_a_step_that_closed_its_output_is_waited_for(project, target):
    body = "os.close(1); os.close(2)\nimport time; time.sleep(1.0)\nopen(out, 'w').write('1')"
    assert wrote(project, "a.py", body).read_text() == "1"


def test_a_host_that_is_killed_takes_its_containers_along(project, target, docker_engine):
    project.write("a.py", "import time\nprint('up', flush=True)\ntime.sleep(900)")
    code = f"""
from stepwell import Pipeline, PythonScriptStep, Workspace
step = PythonScriptStep("a.py", source_directory={str(project.source)!r}, compute_target="docker")
Pipeline(Workspace.get({project.workspace.name!r}), [step])()
"""
    host = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(SOURCE)}, start_new_session=True
    )
    try:

        def is_up():
            assert host.poll() is None, "the pipeline ended before its container was up"
            return "up\n" in [path.read_text() for path in project.workspace.store.root.rglob("logs/stdout.txt")]

        eventually(is_up)
        assert docker_engine.left()
    finally:
        host.kill()
        host.wait()
    assert docker_engine.nothing_left()


def test_an_engine_that_is_not_there_is_named_before_anything_runs(project, target):
    target(docker_host="unix:///nowhere/docker.sock")
    with pytest.raises(ComputeTargetException) as caught:
        project.pipeline(step_of(project, "a.py", ""))()
    assert "The compute target 'docker' can't be reached" in caught.value.title
    assert caught.value.facts["engine"] == "unix:///nowhere/docker.sock"


def test_gpus_that_the_engine_has_not_are_told(project, target, docker_engine):
    if "nvidia" in docker_engine.docker("info"):
        pytest.skip("this engine has GPUs")
    target(gpus="all")
    ended, _ = run(project, step_of(project, "a.py", ""))
    assert "has no GPUs to give" in ended.error


# Secrets ------------------------------------------------------------------------------------------------------------


def test_a_secret_is_in_no_log_no_file_and_no_command_line(project, target, docker_engine):
    secret, seen = "s3cr3t-v4lue-of-a-test", []
    token, out = PipelineParameter("token", "", secret=True), PipelineData("out")
    body = """
import os, sys, time
print(os.environ['AML_PARAMETER_token'], os.environ['PASSWORD'])
json = [os.environ['AML_PARAMETER_token'][::-1], os.environ['PASSWORD'][::-1], sys.argv[2:]]
open(sys.argv[1], 'w').write(repr(json))
while not os.path.exists('/tmp/seen'):
    time.sleep(0.02)
"""
    variables = {"PASSWORD": "two\nlines 'quoted' \\ $HOME ü"}
    step = step_of(
        project, "a.py", body, arguments=[out, *HARD[:-1]], outputs=[out], params={"token": token}, environment_variables=variables
    )  # fmt: skip
    ended = threading.Event()

    def look():
        while not ended.is_set():
            names = docker_engine.docker("ps", "-a", "--filter", "name=stepwell-", "--format", "{{.Names}}").split()
            for name in names:
                seen.append(docker_engine.docker("inspect", name, check=False))
                if '"Running": true' in seen[-1]:
                    docker_engine.docker("exec", name, "touch", "/tmp/seen", check=False)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        last, found = run(project, step, token=secret)
    finally:
        ended.set()
        watcher.join()
    assert last.happened == "ran", last.error
    assert found.get_output_data("out").local_path.read_text() == repr(
        [secret[::-1], variables["PASSWORD"][::-1], HARD[:-1]]
    )
    assert any('"Running": true' in text for text in seen)
    assert secret not in "".join(seen) and "quoted" not in "".join(seen)
    assert (found.folder / "logs" / "stdout.txt").read_text() == "*** ***\n"
    kept = project.workspace.store.root
    assert not [path for path in kept.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


# Packages and keys --------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path, monkeypatch, docker_engine):
    """Make a package for this interpreter, and an index of it for images; what is made of it is gone afterwards."""
    wheels, installed = tmp_path / "wheels", tmp_path / "installed"
    wheels.mkdir()
    import zipfile

    name = f"tiny{os.getpid()}x{time.monotonic_ns() % 10**6}"
    zipfile.ZipFile(write_wheel(wheels, name, "1.2", "word = 'one two'\n")).extractall(installed)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")]))
    listed = ("images", "stepwell-env", "--format", "{{.Repository}}:{{.Tag}}")
    before = set(docker_engine.docker(*listed).split())
    with index(wheels) as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        yield name
    made = set(docker_engine.docker(*listed).split()) - before
    if made:
        docker_engine.docker("rmi", "-f", *made)


def test_the_packages_of_the_key_are_in_the_image_and_the_key_is_the_same_everywhere(project, target, tiny):
    out = PipelineData("out")
    project.write("a.py", f"import {tiny}, sys\nopen(sys.argv[1], 'w').write({tiny}.word)")
    steps = {
        where: project.pipeline(project.step("a.py", arguments=[out], outputs=[out], compute_target=where))
        for where in ("docker", "local")
    }
    assert project.happened(steps["docker"]) == {"a.py": "ran"}
    assert project.happened(steps["local"]) == {"a.py": "reused"}
    logs = "".join(
        path.read_text()
        for path in project.workspace.store.root.rglob("*")
        if path.is_file() and path.suffix in (".txt", ".json", ".jsonl")
    )
    assert PASSWORD not in logs
    project.write("a.py", f"import {tiny}, sys\nopen(sys.argv[1], 'w').write({tiny}.word + '!')")
    assert project.happened(steps["local"]) == {"a.py": "ran"}
    assert project.happened(steps["docker"]) == {"a.py": "reused"}


# Targets ------------------------------------------------------------------------------------------------------------


def step(**more):
    return StepDefinition("s", "s", "t", "", **more)


def test_a_target_gives_no_more_than_there_is():
    target = DockerCompute(gpus="0, 1", memory="1g", max_concurrent=3)
    capacity = target.capacity()
    assert capacity["steps"] == 3 and capacity["gpus"] == 2
    assert target.demand(step()) == {"steps": 1, "cpus": 0, "memory": 1 << 30, "gpus": 2}
    assert DockerCompute(cpus=2).demand(step())["cpus"] == 2
    wanted = Resources(cpus=2, memory=5, gpus=0.5)
    assert target.demand(step(resources=wanted)) == {"steps": 1, "cpus": 2, "memory": 5, "gpus": 1}
    target.check(step(resources=wanted))
    for more in (Resources(gpus=3), Resources(cpus=1e6), Resources(memory=1 << 60)):
        with pytest.raises(ComputeTargetException, match="has not enough"):
            target.check(step(resources=more))


def test_an_interpreter_of_this_machine_is_no_containers():
    with pytest.raises(ComputeTargetException, match="interpreter of this machine"):
        DockerCompute().check(step(environment=EnvironmentDefinition(interpreter="/opt/python")))
    DockerCompute().check(step(environment=EnvironmentDefinition(interpreter="/opt/python", image="own:1")))


@pytest.mark.parametrize("size", ["much", "1x", "-1g"])
def test_a_size_is_a_number_with_a_unit(size):
    with pytest.raises(ValueError, match=re.escape("memory")):
        DockerCompute(memory=size)


def test_blocks_of_prefect_docker_say_where_and_who(project, docker_engine, target):
    from prefect_docker import DockerHost, DockerRegistryCredentials

    DockerHost(base_url=docker_engine.address).save("there", overwrite=True)
    DockerRegistryCredentials(username="u", password="p", registry_url="r.example").save("me", overwrite=True)
    found = target(docker_host="unix:///nowhere", host_block="there", registry_block="me")
    assert found._engine().address == docker_engine.address
    assert found._login() == {"username": "u", "password": "p", "serveraddress": "r.example"}
    with pytest.raises(ComputeTargetException, match="names a block that is not saved"):
        target(host_block="nobody").ready()
    target()


def test_the_items_of_a_mapped_step_are_containers_that_see_their_own_alone(project, target):
    parts, counts, total = PipelineData("parts"), PipelineData("counts"), PipelineData("total")
    project.write("params.yaml", "mark: x\nother: 1\n")
    split = step_of(project, "split.py", """
import os, sys
os.mkdir(sys.argv[1])
for name in ("a", "b"):
    open(os.path.join(sys.argv[1], name), "w").write(name)
""", arguments=[parts], outputs=[parts])  # fmt: skip
    count = step_of(project, "count.py", """
import os, sys
seen = os.listdir(os.path.dirname(sys.argv[1]))
open(sys.argv[2], "w").write(open(sys.argv[1]).read() + str(seen) + open("params.yaml").read())
""", arguments=[parts, counts], inputs=[parts], outputs=[counts], params=["mark"])  # fmt: skip
    add = step_of(project, "add.py", """
import os, sys
open(sys.argv[2], "w").write("".join(open(os.path.join(sys.argv[1], n)).read() for n in sorted(os.listdir(sys.argv[1]))))
""", arguments=[counts, total], inputs=[counts], outputs=[total])  # fmt: skip
    pipeline = project.pipeline(split, count.map(parts), add)
    assert set(project.happened(pipeline, mark="y").values()) == {"ran"}
    found = pipeline(mark="y")
    assert project.workspace.path_of(found["add.py"]["total"]).read_text() == ("a['a']mark: y\nb['b']mark: y\n")
