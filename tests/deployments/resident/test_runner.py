"""Commands that a resident runner becomes: as those without one, to the byte, and nothing of one caller reaches another."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from concurrent.futures import ThreadPoolExecutor

import pytest
from keeping import in_child
import resident_program
from stepwell.deployments.resident import client, identity, overview
from waiting import PATIENCE, eventually

SUPPORT = str(Path(resident_program.__file__).parent)
COMMAND = [sys.executable, "-c", "import resident_program; resident_program.main()"]
COMMAND_LINE = [sys.executable, "-m", "stepwell.deployments.cli"]
PROBE = """
import json, locale, os, random, resource, signal, sys, threading

def of(stream):
    return stream.name, stream.mode, stream.encoding, stream.errors, stream.line_buffering, stream.write_through

facts = {
    "environment": dict(os.environ), "folder": os.getcwd(), "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path,
    "umask": os.umask(0o22), "limits": [resource.getrlimit(number) for number in range(10)],
    "processors": sorted(os.sched_getaffinity(0)), "threads": threading.active_count(), "locale": locale.getlocale(),
    "files": sorted(name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")),
    "signals": {int(number): str(signal.getsignal(number)) for number in signal.valid_signals()},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "streams": [of(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)], "read": sys.stdin.read(),
}
print(json.dumps(facts, default=str))
print(random.random(), file=sys.stderr)
sys.stdout.flush()
os._exit(7)
"""
WAITING = """
import os, signal, sys, time
{}
open("pid", "w").write(str(os.getpid()))
os.rename("pid", "begun")
while True:
    time.sleep(600)
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Return a home whose commands start from a resident runner, which ends with the test."""
    folder = tmp_path / "home"
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "STEPWELL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("STEPWELL_HOME", str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [SUPPORT, os.environ.get("PYTHONPATH")])))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "orig_argv", [sys.executable, "-m", "pytest"]
    )  # whatever workers of the tests are started with
    yield folder
    overview.stop()


def run(*words, command=COMMAND, **more):
    """Return how a command ended, and what it printed."""
    return subprocess.run([*command, *words], capture_output=True, text=True, timeout=PATIENCE, **more)


def by_itself(*words, **more):
    return run(*words, env={**os.environ, identity.SWITCH: "0"}, **more)


def started(*words, **more):
    """Start a runner by a first command, and wait until it listens; return its process id."""
    assert run(*(words or (os.devnull,)), **more).returncode == 0
    return listening()


def listening():
    """Wait until a runner listens; return its process id."""

    def is_there():
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(PATIENCE)
            return not caller.connect_ex(f"{os.path.relpath(identity.folder())}/{names[0]}")

    eventually(overview.pids)
    names = [name.removesuffix(".lock") for name in os.listdir(identity.folder()) if name.endswith(".lock")]
    eventually(is_there)
    (pid,) = overview.pids()
    return pid


def begun(tmp_path, body=""):
    """Start a command that waits in a runner; return it and the process that runs it."""
    (tmp_path / "waits.py").write_text(WAITING.format(body))
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    caller = subprocess.Popen(
        [*COMMAND, "waits.py"], **streams, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)
    )  # which is ignored below `nohup`
    place = tmp_path / "begun"
    eventually(place.exists)
    pid = int(place.read_text())
    assert pid != caller.pid
    return caller, pid


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_commands_are_the_same_with_a_runner_and_without(home, tmp_path):
    (tmp_path / "old.py").write_text("from azureml.core import Workspace\nWorkspace.from_config()\n")
    pid = started("--version", command=COMMAND_LINE)
    commands = [("-h",), ("runs", "-h"), ("nonsense",), ("runs", "--bad"), (), ("migrate", "check", "old.py")]
    for words in commands:
        one, other = run(*words, command=COMMAND_LINE), by_itself(*words, command=COMMAND_LINE)
        assert (one.returncode, one.stdout, one.stderr) == (other.returncode, other.stdout, other.stderr)
    assert overview.pids() == [pid]


def test_a_command_has_what_its_caller_has(home, tmp_path):
    (tmp_path / "probe.py").write_text(PROBE)
    pid = started()
    limited = {"preexec_fn": lambda: (os.umask(0o27), os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]))}
    words = {"input": "a line\n", **limited}
    there = run("probe.py", env={**os.environ, "SECRET": "of one"}, **words)
    here = run("probe.py", env={**os.environ, "SECRET": "of one", identity.SWITCH: "0"}, **words)
    assert there.returncode == here.returncode == 7, there.stderr
    one, other = json.loads(there.stdout), json.loads(here.stdout)
    assert other["environment"].pop(identity.SWITCH) == "0"
    assert one == other
    assert one["read"] == "a line\n"
    after = run("probe.py", input="")
    assert "SECRET" not in json.loads(after.stdout)["environment"]
    assert after.stderr != there.stderr  # each has random numbers of its own
    assert overview.pids() == [pid]


def test_a_command_has_the_files_that_its_caller_hands_down_and_ignores_what_it_ignores(home, tmp_path):
    """Also where the numbers of files are those that the runner has in use, or the last ones."""
    (tmp_path / "probe.py").write_text(PROBE)
    (tmp_path / "echo.py").write_text(
        "import os, sys\nfor n in map(int, sys.argv[2:]): os.write(n, b'%d %d;' % (n, os.getppid()))"
    )
    pid = started()
    assert in_child(lambda: _hand_down(pid)) == 0  # the numbers are in use by this process


def _hand_down(pid):
    below, above = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 300) for end in os.pipe())
    numbers = [*range(30, 60), 255, 1000]
    for number in numbers:
        os.dup2(above, number)

    def as_caller():
        for name in ("SIGTSTP", "SIGALRM", "SIGTTOU", "SIGUSR1", "SIGCHLD"):
            signal.signal(getattr(signal, name), signal.SIG_IGN)

    told = {"pass_fds": numbers, "preexec_fn": as_caller}
    there = run("probe.py", input="", env={**os.environ}, **told)
    here = run("probe.py", input="", env={**os.environ, identity.SWITCH: "0"}, **told)
    one, other = (json.loads(found.stdout) for found in (there, here))
    assert {str(number) for number in numbers} < set(one["files"])
    assert other["environment"].pop(identity.SWITCH) == "0"
    assert {name: one[name] for name in one if one[name] != other[name]} == {}
    assert run("echo.py", *map(str, numbers), **told).returncode == 0
    assert os.read(below, 10_000).decode() == "".join(f"{number} {pid};" for number in numbers)
    assert len(json.loads(run("probe.py", input="").stdout)["files"]) < len(numbers)


def test_callers_that_say_nothing_hold_no_other(home, tmp_path):
    (tmp_path / "tell.py").write_text("import os; print(os.getppid())")
    pid = started()
    (name,) = [name for name in os.listdir(identity.folder()) if not name.endswith(".lock")]
    silent = [socket.socket(socket.AF_UNIX) for _ in range(5)]
    try:
        for number, caller in enumerate(silent):
            caller.connect(os.path.relpath(os.path.join(identity.folder(), name)))
            caller.sendall(b"\0\0\1\0{"[:number])
        assert [run("tell.py").stdout for _ in range(2)] == [f"{pid}\n"] * 2
    finally:
        for caller in silent:
            caller.close()


def test_many_commands_at_once_are_each_answered(home, tmp_path):
    (tmp_path / "tell.py").write_text("import sys; print(sys.argv[2])")
    pid = started()
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda number: run("tell.py", str(number)), range(50)))
    assert [one.stdout for one in found] == [f"{number}\n" for number in range(50)]
    assert overview.pids() == [pid]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_command(home, tmp_path, number):
    started()
    caller, pid = begun(tmp_path)
    caller.send_signal(number)
    _, said = caller.communicate(timeout=PATIENCE)
    assert caller.returncode == -number
    assert "KeyboardInterrupt" in said if number == signal.SIGINT else not said
    assert is_gone(pid)


def test_a_stopped_command_stops_and_goes_on(home, tmp_path):
    started()
    caller, pid = begun(tmp_path)

    def state(process):
        with open(f"/proc/{process}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0]

    caller.send_signal(signal.SIGTSTP)
    eventually(lambda: state(pid) == state(caller.pid) == "T")
    caller.send_signal(signal.SIGCONT)
    eventually(lambda: state(pid) != "T")
    caller.terminate()
    assert caller.wait(PATIENCE) == -signal.SIGTERM


def test_a_command_that_is_killed_ends_its_caller_so(home, tmp_path):
    started()
    caller, pid = begun(tmp_path)
    os.kill(pid, signal.SIGKILL)
    caller.communicate(timeout=PATIENCE)
    assert caller.returncode == -signal.SIGKILL


def test_a_command_ends_with_a_caller_that_is_killed(home, tmp_path):
    runner = started()
    caller, pid = begun(tmp_path)
    caller.kill()
    caller.communicate(timeout=PATIENCE)
    eventually(lambda: is_gone(pid))
    assert overview.pids() == [runner]


def test_a_command_outlives_its_runner_and_the_next_one_starts_another(home, tmp_path):
    runner = started()
    caller, pid = begun(tmp_path)
    os.kill(runner, signal.SIGKILL)
    eventually(lambda: is_gone(runner))
    assert not is_gone(pid) and caller.poll() is None
    os.kill(pid, signal.SIGTERM)
    said = caller.communicate(timeout=PATIENCE)[1]
    assert caller.returncode == 1
    assert "how it ended is not known" in said
    assert run(os.devnull).returncode == 0
    eventually(lambda: overview.pids() not in ([], [runner]))


def test_a_runner_ends_when_its_code_changed(home, tmp_path, monkeypatch):
    own = tmp_path / "own" / "sitecustomize.py"
    own.parent.mkdir()
    own.write_text("")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(own.parent), os.environ["PYTHONPATH"]]))
    runner = started()
    os.utime(own, (1, 1))
    assert run(os.devnull).returncode == 0
    eventually(lambda: is_gone(runner))
    eventually(overview.pids)  # the next one, which is to end with this test


def test_first_pipeline_of_a_new_home_runs_in_the_runner_that_its_command_starts(home, tmp_path):
    (tmp_path / "pipeline.py").write_text("import os; print(os.getppid(), flush=True); os._exit(5)")
    ended = run("plan", "pipeline.py", command=COMMAND_LINE)
    assert ended.returncode == 5
    assert ended.stderr.splitlines()[-1] == str(listening())
    assert run("server", "stop", command=COMMAND_LINE).stdout.startswith(
        "The server is stopped"
    )  # which it starts beside


def test_a_runner_that_ends_while_it_starts_is_not_waited_for(home, monkeypatch):
    monkeypatch.setitem(client._starting, "0" * 24, subprocess.Popen([sys.executable, "-c", ""]))
    client.run_in_started()
    assert not client._starting


def test_who_looks_for_a_runner_keeps_none_from_beginning(home):
    started()
    overview.stop()
    (lock,) = os.listdir(identity.folder())
    looking = os.open(os.path.join(identity.folder(), lock), os.O_RDWR)
    fcntl.flock(looking, fcntl.LOCK_SH)
    assert run(os.devnull).returncode == 0
    os.close(looking)
    listening()


def test_what_stands_in_a_runners_place_is_passed_by(home):
    started()
    overview.stop()
    (lock,) = os.listdir(identity.folder())
    place = os.path.join(identity.folder(), lock.removesuffix(".lock"))
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(os.path.relpath(place))  # nobody listens; a whole path may be too long for a socket
        assert run(os.devnull).returncode == 0
    listening()
    overview.stop()
    os.chmod(identity.folder(), 0o755)
    assert run(os.devnull).returncode == 0
    assert os.listdir(identity.folder()) == [lock]


def test_the_switch_and_settings_of_the_folder_leave_commands_by_themselves(home, tmp_path):
    assert by_itself(os.devnull).returncode == 0
    assert not os.path.exists(identity.folder())
    assert overview.words() == "by themselves, until one has started a resident runner"
    (tmp_path / "prefect.toml").write_text("")
    assert run(os.devnull).returncode == 0
    assert overview.words() == "by themselves: Prefect has settings in this folder"
    assert not os.path.exists(identity.folder())


def test_services_run_by_themselves(home):
    assert run("serve", "-h", command=COMMAND_LINE).returncode == 0
    assert not os.path.exists(identity.folder())


def test_other_settings_have_another_runner(home, monkeypatch):
    first = identity.name()
    for name, value in {"PREFECT_API_URL": "http://127.0.0.1:9", "PYTHONUTF8": "1", "STEPWELL_ANY": "x"}.items():
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert identity.name() != first
    monkeypatch.setenv("PLAIN", "x")
    assert identity.name() == first


def test_stopping_the_server_ends_the_runner(home):
    pid = started("--version", command=COMMAND_LINE)
    assert f"from a resident runner (process {pid})" in run("server", "status", command=COMMAND_LINE).stdout
    assert "Commands no longer start from a resident runner" in run("server", "stop", command=COMMAND_LINE).stdout
    eventually(lambda: is_gone(pid))
