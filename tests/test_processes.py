"""Processes: what they are given, how they are followed and stopped, and that nothing of them stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest

from stepwell.blocks import processes
from stepwell.blocks.processes import Command, StopSignal, kill_stray, run_process
from stepwell.errors import StepFailedException, UserErrorException
from stepwell.vocabulary import Exit

DUMP = "import json, os, sys; json.dump([list(a) for a in map(os.fsencode, sys.argv[1:])], open('argv.json', 'w'))"
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        {action}
    os._exit(0)
os.wait()
time.sleep(0.1)
"""


@dataclass
class Bench:
    """Runs commands in a folder, and knows every process that bears their marker."""

    folder: Path
    marker: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex}")
    texts: list[str] = field(default_factory=list)

    def command(self, *argv: str, **changes: object) -> Command:
        paths = [self.folder / name for name in ("out.txt", "err.txt", "both.txt")]
        variables = {"PATH": os.environ["PATH"]}
        return replace(Command(argv, self.folder, variables, self.marker, *paths), **changes)  # type: ignore[arg-type]

    def run(
        self, *argv: str, stop: StopSignal | None = None, redact: Callable[[str], str] | None = None, **changes: object
    ) -> Exit:
        command = self.command(*argv, **changes)
        return run_process(command, self.texts.append, stop or StopSignal(), redact or processes.unchanged)

    def python(self, code: str, *argv: str, **options: object) -> Exit:
        return self.run(sys.executable, "-c", textwrap.dedent(code), *argv, **options)  # type: ignore[arg-type]

    def read(self, name: str) -> str:
        return (self.folder / name).read_bytes().decode()

    def alive(self) -> list[int]:
        return [p.pid for p in psutil.process_iter() if self._is_ours(p)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return self.marker in process.environ().get("STEPWELL_MARKER", "") or "987" in process.cmdline()
        except psutil.Error:
            return False


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    zombies = {p.pid for p in psutil.Process().children() if p.status() == psutil.STATUS_ZOMBIE}
    yield made
    assert not processes._host.mains
    assert made.alive() == []
    assert {p.pid for p in psutil.Process().children() if p.status() == psutil.STATUS_ZOMBIE} <= zombies


def wait_for(condition: Callable[[], bool], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


# What it is given ----------------------------------------------------------------------------------------------------


def test_each_argument_arrives_as_one_element_byte_for_byte(bench: Bench) -> None:
    hard = [
        "",
        " ",
        "a b",
        "two\nlines",
        "'\"`",
        "$(id)",
        "; rm -rf /",
        "--help",
        "-x",
        "*",
        "ünï ☃",
        "\udcff\udc80",
        "x" * 100_000,
        "{order}",
    ]
    assert bench.python(DUMP, *hard).ok
    assert [bytes(a) for a in json.loads(bench.read("argv.json"))] == [os.fsencode(a) for a in hard]


def test_environment_is_exactly_what_is_given_and_the_marker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    assert bench.run("/usr/bin/env", variables={"A": "1", "B": "\udcff"}).ok
    lines = (bench.folder / "out.txt").read_bytes().splitlines()
    assert sorted(lines) == [b"A=1", b"B=\xff", b"STEPWELL_MARKER=" + bench.marker.encode()]


def test_nested_markers_keep_the_words_of_their_hosts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_MARKER", "outer")
    bench.run("/usr/bin/env", variables={})
    assert bench.read("out.txt") == f"STEPWELL_MARKER=outer {bench.marker}\n"


def test_order_is_read_from_a_path_without_a_name_on_disk(bench: Bench) -> None:
    order = b"secret\x00" * 50_000
    ended = bench.python(
        "import sys; open('copy', 'wb').write(open(sys.argv[1], 'rb').read()); print(sys.argv[1:])",
        "{order}",
        "{order}",
        order=order,
    )
    assert ended.ok
    assert (bench.folder / "copy").read_bytes() == order
    path, other = eval(bench.read("out.txt"))
    assert path.startswith("/dev/fd/") and other == "{order}"


def test_standard_input_is_empty_and_no_descriptor_of_ours_is_open(bench: Bench) -> None:
    with open(bench.folder / "open", "w") as file:
        os.set_inheritable(file.fileno(), True)
        assert bench.python("import os, sys; print(repr(sys.stdin.read()), sorted(os.listdir('/proc/self/fd')))").ok
    assert bench.read("out.txt") == "'' ['0', '1', '2', '3']\n"  # 3 is the folder being listed


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("no-such-program",), ["'no-such-program' was not found", "PATH"]),
        (("/no/such/program",), ["'/no/such/program' was not found"]),
        (("./plain",), ["may not be executed", "chmod"]),
        (("./orphan",), ["interpreter of './orphan'"]),
        (("./nothing",), ["not in a format"]),
        (("true", "x" * 3_000_000), ["too long", "3000006 bytes", "file"]),
    ],
)
def test_what_can_not_be_started_is_explained(bench: Bench, argv: tuple[str, ...], words: list[str]) -> None:
    for name, text, mode in (
        ("plain", "", 0o644),
        ("orphan", "#!/no/such/interpreter\n", 0o755),
        ("nothing", "\0", 0o755),
    ):
        (bench.folder / name).write_text(text)
        (bench.folder / name).chmod(mode)
    with pytest.raises(StepFailedException) as caught:
        bench.run(*argv)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_missing_folder_is_named(bench: Bench) -> None:
    with pytest.raises(StepFailedException, match="The folder '/no/such' was not found"):
        bench.run("true", folder=Path("/no/such"))


@pytest.mark.parametrize(
    "changes",
    [
        {"argv": ()},
        {"argv": ("true", "a\0b")},
        {"argv": ("true", "\ud800")},
        {"variables": {"A": "\0"}},
        {"variables": {"A=B": ""}},
        {"marker": "two words"},
        {"marker": ""},
    ],
)
def test_what_no_process_can_be_given_is_refused(bench: Bench, changes: dict[str, object]) -> None:
    with pytest.raises(UserErrorException):
        bench.run("true", **changes)  # type: ignore[arg-type]


# What it says --------------------------------------------------------------------------------------------------------


def test_codes_and_signals(bench: Bench) -> None:
    assert bench.run("true").code == 0
    assert bench.run("sh", "-c", "exit 7").code == 7
    killed = bench.run("sh", "-c", "kill -9 $$")
    assert (killed.code, killed.timed_out, killed.cancelled, killed.ok) == (-9, False, False, False)


def test_output_goes_to_three_files_and_is_forwarded_in_whole_lines(bench: Bench) -> None:
    bench.python("""
        import sys, time
        parts = ("1one ", "2two\\n", "1three\\nla", "2four\\n", "1st")
        for name, text in ((["stdout", "stderr"][int(part[0]) - 1], part[1:]) for part in parts):
            stream = getattr(sys, name); stream.write(text); stream.flush(); time.sleep(0.05)
    """)
    assert bench.read("out.txt") == "one three\nlast"
    assert bench.read("err.txt") == "two\nfour\n"
    assert bench.read("both.txt") == "two\none three\nfour\nlast"
    assert bench.texts == ["two\n", "one three\n", "four\n", "last"]


def test_bytes_that_are_no_text_stay_in_the_files(bench: Bench) -> None:
    code = "import os; os.write(1, bytes(range(256)) + b'\\n')"
    bench.python(code)
    raw = (bench.folder / "out.txt").read_bytes()
    bench.python(code, redact=lambda text: text.replace("nothing", ""))
    assert (bench.folder / "out.txt").read_bytes() == raw == bytes(range(256)) + b"\n"
    assert "\ufffd" in bench.texts[-1]


def test_much_output_is_complete(bench: Bench) -> None:
    bench.python("for i in range(200_000): print(i)")
    expected = "".join(f"{i}\n" for i in range(200_000))
    assert "".join(bench.texts) == bench.read("out.txt") == bench.read("both.txt") == expected
    assert all(text.endswith("\n") for text in bench.texts)


def test_endless_line_comes_in_pieces(bench: Bench) -> None:
    bench.python("import sys; sys.stdout.write('x' * 3_500_000)")
    assert "".join(bench.texts) == bench.read("out.txt") == "x" * 3_500_000
    assert 3 <= len(bench.texts) <= 5


def test_long_line_is_one_text(bench: Bench) -> None:
    bench.python("print('x' * 900_000)")
    assert bench.texts == ["x" * 900_000 + "\n"]


def test_progress_bar_does_not_flood(bench: Bench) -> None:
    bench.python("""
        import sys
        print("begin")
        for i in range(20_001):
            sys.stderr.write(f"\\r{i}"); sys.stderr.flush()
        sys.stderr.write("\\n")
        print("end\\r")
    """)
    assert bench.read("err.txt").count("\r") == 20_001
    assert len(bench.texts) < 100
    assert all(part in "".join(bench.texts) for part in ("begin\n", "20000\n", "end\r\n"))


def test_last_update_of_a_progress_bar_arrives(bench: Bench) -> None:
    bench.python("import sys\nfor i in range(500): sys.stdout.write(f'{i}\\r'); sys.stdout.flush()")
    assert bench.texts[-1].startswith("499")


@pytest.mark.parametrize("before", [0, 1, 65_530, 131_065, 70_000])
def test_secrets_are_redacted_before_they_reach_a_file_even_in_long_lines(bench: Bench, before: int) -> None:
    code = """
        import os, sys, time
        os.write(1, b"x" * int(sys.argv[1]) + b"hunter"); time.sleep(0.1)
        os.write(1, b"22" + b"y" * 100_000); os.write(2, b"hunter22\\n")
    """
    bench.python(code, str(before), redact=lambda text: text.replace("hunter22", "***"))
    for text in (bench.read("out.txt"), bench.read("both.txt"), "".join(bench.texts)):
        assert "hunter" not in text and "***" in text
    assert bench.read("out.txt") == "x" * before + "***" + "y" * 100_000


def test_log_that_can_not_be_written_ends_the_process(bench: Bench) -> None:
    with pytest.raises(StepFailedException, match="log can't be written"):
        bench.run("sh", "-c", "echo a; sleep 987", stdout=Path("/dev/full"))


def test_error_in_the_listener_ends_the_process(bench: Bench) -> None:
    def fail(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_process(bench.command("sh", "-c", "setsid sleep 987 & echo a; wait"), fail, StopSignal())


# How it is stopped ---------------------------------------------------------------------------------------------------


def test_timeout_ends_a_busy_loop_at_once(bench: Bench) -> None:
    ended = bench.run("dd", "if=/dev/zero", "of=/dev/null", timeout_seconds=0.5)
    assert ended.timed_out and not ended.cancelled and ended.code == -signal.SIGTERM
    assert 0.5 <= ended.seconds < 1.0


def test_who_ignores_sigterm_dies_after_the_grace(bench: Bench) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(987)"
    ended = bench.python(code, timeout_seconds=0.5, grace_seconds=0.5)
    assert ended.timed_out and ended.code == -signal.SIGKILL
    assert 1.0 <= ended.seconds < 1.8


def test_grace_is_used_to_clean_up_even_under_a_shell(bench: Bench) -> None:
    save = "lambda *_: (time.sleep(0.3), print('saved'), sys.exit())"
    code = f"import signal, sys, time; signal.signal(15, {save}); time.sleep(987)"
    ended = bench.run("sh", "-c", f'{sys.executable} -c "$0"; true', code, timeout_seconds=0.5)
    assert ended.timed_out and ended.seconds < 2
    assert bench.read("out.txt") == "saved\n"


def test_suspended_process_can_be_stopped(bench: Bench) -> None:
    ended = bench.run("sh", "-c", "kill -STOP $$", timeout_seconds=0.3)
    assert ended.timed_out and ended.code == -signal.SIGTERM and ended.seconds < 1


def test_stop_from_another_thread_ends_all_that_wait(bench: Bench) -> None:
    stop = StopSignal()
    threading.Timer(0.5, stop.stop, ("enough",)).start()
    with ThreadPoolExecutor(4) as pool:
        for number in range(4):
            (bench.folder / str(number)).mkdir()
        benches = [Bench(bench.folder / str(number)) for number in range(4)]
        exits = list(pool.map(lambda one: one.run("sleep", "987", stop=stop), benches))
    assert all(one.cancelled and one.code == -signal.SIGTERM and 0.3 < one.seconds < 1.0 for one in exits)
    assert stop.stopped and stop.reason == "enough"


def test_stopped_before_it_began_is_never_started(bench: Bench) -> None:
    stop = StopSignal()
    stop.stop()
    ended = bench.run("touch", "started", stop=stop)
    assert ended.cancelled and not ended.ok
    assert not (bench.folder / "started").exists()
    assert bench.read("both.txt") == ""


# What stays ----------------------------------------------------------------------------------------------------------


def test_child_that_holds_the_pipes_open_delays_nothing(bench: Bench) -> None:
    ended = bench.run("sh", "-c", "sleep 987 & echo done")
    assert ended.ok and ended.seconds < 0.5
    assert bench.texts == ["done\n"]


def test_child_that_writes_for_ever_delays_nothing(bench: Bench) -> None:
    ended = bench.run("sh", "-c", "yes & echo done")
    assert ended.ok and ended.seconds < 2


@pytest.mark.parametrize(
    "script",
    [
        "nohup sleep 987 >/dev/null 2>&1 &",
        "setsid sleep 987 &",
        "setsid sh -c 'setsid sleep 987 & sleep 987' & sleep 0.1",
        "setsid env -i sleep 987 & sleep 0.1",
        "env -i setsid sh -c 'setsid sleep 987 & setsid sleep 987 & exec sleep 987' & sleep 0.1",
        "(trap '' TERM HUP INT; setsid sleep 987 &) &",
    ],
)
def test_background_children_die_with_the_step(bench: Bench, script: str) -> None:
    assert bench.run("sh", "-c", script).ok


def test_daemon_that_forks_twice_dies_with_the_step(bench: Bench) -> None:
    assert bench.python(DAEMON.format(action="os.execvp('sleep', ['sleep', '987'])")).ok


def test_daemon_that_overwrites_its_environment_and_breeds_dies_too(bench: Bench) -> None:
    script = "while :; do setsid sleep 987 & sleep 0.01; done"
    action = f"os.execve('/bin/sh', ['sh', '-c', '{script}'], {{'PATH': os.environ['PATH']}})"
    assert bench.python(DAEMON.format(action=action)).ok


def test_daemon_dies_when_the_step_is_stopped(bench: Bench) -> None:
    code = DAEMON.format(action="os.execvp('sleep', ['sleep', '987'])") + "\ntime.sleep(987)"
    assert bench.python(code, timeout_seconds=0.5).timed_out


def test_marker_and_relationship_are_enough_without_tags(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_set_tag", lambda pid, tag: None)
    assert bench.run("sh", "-c", "setsid sh -c 'env -i setsid sleep 987 & exec sleep 987' & sleep 0.2").ok


def test_other_children_of_the_host_are_left_alone(bench: Bench) -> None:
    mine = subprocess.Popen(["sleep", "30"], start_new_session=True)
    parent = subprocess.Popen(["sh", "-c", "sleep 31 & wait"])
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(bench.run, "sh", "-c", "setsid sleep 987 & sleep 0.5")
        time.sleep(0.2)
        orphan = int(subprocess.check_output(["sh", "-c", "sleep 32 >/dev/null & echo $!"]))
        assert pending.result().ok
    others = [psutil.Process(mine.pid), *psutil.Process(parent.pid).children(), psutil.Process(orphan)]
    assert [other.cmdline() for other in others] == [["sleep", "30"], ["sleep", "31"], ["sleep", "32"]]
    for other in others:
        other.kill()
    assert parent.wait() == 0 and mine.wait() == -9
    os.waitpid(orphan, 0)


def test_runs_do_not_touch_each_other(tmp_path: Path, bench: Bench) -> None:
    def one(number: int) -> Exit:
        folder = tmp_path / f"run{number}"
        folder.mkdir()
        return Bench(folder).run(
            "sh", "-c", f"setsid sleep 987 & sleep {0.01 * (number % 7)}; echo {number}; exit {number % 3}"
        )

    with ThreadPoolExecutor(8) as pool:
        exits = list(pool.map(one, range(40)))
    assert [exit.code for exit in exits] == [number % 3 for number in range(40)]
    assert all((tmp_path / f"run{number}" / "out.txt").read_text() == f"{number}\n" for number in range(40))


def test_reaper_setting_is_restored_and_no_descriptor_leaks(bench: Bench) -> None:
    bench.run("true")
    before = len(os.listdir("/proc/self/fd"))
    assert not processes._is_reaper()
    for _ in range(5):
        bench.run("true", order=b"x")
        with pytest.raises(StepFailedException):
            bench.run("no-such-program")
    assert not processes._is_reaper()
    assert len(os.listdir("/proc/self/fd")) == before


def test_exit_code_taken_by_another_is_no_success(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes._Family, "_sweep", lambda family: os.waitpid(family.pid, 0))
    with pytest.raises(StepFailedException, match="not known"):
        bench.run("true")


HOST = """
import sys
from pathlib import Path
from stepwell.blocks.processes import Command, StopSignal, run_process
folder, marker, path = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
if sys.argv[4] == "unwatched":
    import stepwell.blocks.processes as processes
    processes._start_watchdog = lambda: -1
script = "setsid env -i sleep 987 & setsid sleep 987 & sleep 0.1; touch started; sleep 987"
command = Command(("sh", "-c", script), folder, {"PATH": path}, marker, *(folder / n for n in "abc"))
run_process(command, print, StopSignal())
"""


def start_host(bench: Bench, kind: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", HOST, str(bench.folder), bench.marker, os.environ["PATH"], kind]
    host = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert wait_for((bench.folder / "started").exists, 20)
    return host


def test_nothing_survives_a_host_that_is_killed(bench: Bench) -> None:
    host = start_host(bench, "watched")
    assert len(bench.alive()) >= 3
    host.kill()
    host.wait()
    assert wait_for(lambda: not bench.alive(), 2)


def test_run_within_a_run_ends_with_it(bench: Bench) -> None:
    argv = (str(bench.folder), "inner", os.environ["PATH"], "unwatched")
    variables = {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = bench.run(sys.executable, "-c", HOST, *argv, variables=variables, timeout_seconds=1.5)
    assert ended.timed_out and (bench.folder / "started").exists()


def test_stray_processes_of_a_dead_host_are_found_by_their_marker(bench: Bench) -> None:
    host = start_host(bench, "unwatched")
    host.kill()
    host.wait()
    assert len(bench.alive()) >= 3
    assert kill_stray(bench.marker[:20]) >= 2
    for pid in bench.alive():  # the one without an environment: only a living host finds it
        assert set(psutil.Process(pid).environ()) <= {"PWD"}
        os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: not bench.alive())


def test_stray_search_kills_nobody_else(bench: Bench) -> None:
    assert kill_stray("test-no-such-run") == 0
    with pytest.raises(UserErrorException):
        kill_stray("")


def test_overhead_is_small(bench: Bench) -> None:
    def mean(action: Callable[[], object]) -> float:
        started = time.perf_counter()
        for _ in range(30):
            action()
        return (time.perf_counter() - started) / 30

    bench.run("/bin/true")
    plain = min(mean(lambda: subprocess.run(["/bin/true"], capture_output=True, check=True)) for _ in range(3))
    ours = min(mean(lambda: bench.run("/bin/true")) for _ in range(3))
    assert ours - plain < 0.010  # 3 ms on a quiet machine
