"""Running one process: how it ended, how it is stopped, and what that costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from process_bench import Bench, bench  # noqa: F401
from waiting import PATIENCE, in_time

from stepwell.blocks.processes import process_tree, host
from stepwell.blocks.processes.runner import StopSignal, run_process
from stepwell.errors import StepFailedException


def test_codes_and_signals(bench: Bench) -> None:
    assert bench.run("true").code == 0
    assert bench.run("sh", "-c", "exit 7").code == 7
    killed = bench.run("sh", "-c", "kill -9 $$")
    assert (killed.code, killed.timed_out, killed.cancelled, killed.ok) == (-9, False, False, False)


def test_error_in_the_listener_ends_the_process(bench: Bench) -> None:
    def fail(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_process(bench.command("sh", "-c", "setsid sleep 987 & echo a; wait"), fail, StopSignal())


def test_timeout_ends_a_busy_loop_at_once(bench: Bench) -> None:
    ended = bench.run("dd", "if=/dev/zero", "of=/dev/null", timeout_seconds=0.5)
    assert ended.timed_out and not ended.cancelled and ended.code == -signal.SIGTERM
    assert 0.5 <= ended.seconds < PATIENCE


def test_who_ignores_sigterm_dies_after_the_grace(bench: Bench) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(987)"
    ended = in_time(
        lambda seconds: bench.python(code, timeout_seconds=seconds, grace_seconds=0.5), lambda _: "up\n" in bench.texts
    )
    assert ended.timed_out and ended.code == -signal.SIGKILL
    assert 1.0 <= ended.seconds < PATIENCE


def test_grace_is_used_to_clean_up_even_under_a_shell(bench: Bench) -> None:
    save = "lambda *_: (time.sleep(0.3), print('saved'), sys.exit())"
    code = f"import signal, sys, time; signal.signal(15, {save}); print('up', flush=True); time.sleep(987)"
    ended = in_time(
        lambda seconds: bench.run("sh", "-c", f'{sys.executable} -c "$0"; true', code, timeout_seconds=seconds),
        lambda _: "up\n" in bench.texts,
    )
    assert ended.timed_out and ended.seconds < PATIENCE
    assert bench.read("out.txt") == "up\nsaved\n"


def test_suspended_process_can_be_stopped(bench: Bench) -> None:
    ended = bench.run("sh", "-c", "kill -STOP $$", timeout_seconds=0.3)
    assert ended.timed_out and ended.code == -signal.SIGTERM and ended.seconds < PATIENCE


def test_stop_from_another_thread_ends_all_that_wait(bench: Bench) -> None:
    stop = StopSignal()
    threading.Timer(0.5, stop.stop, ("enough",)).start()
    with ThreadPoolExecutor(4) as pool:
        for number in range(4):
            (bench.folder / str(number)).mkdir()
        benches = [Bench(bench.folder / str(number)) for number in range(4)]
        exits = list(pool.map(lambda one: one.run("sleep", "987", stop=stop), benches))
    assert all(one.cancelled and one.code == -signal.SIGTERM and one.seconds < PATIENCE for one in exits)
    assert stop.stopped and stop.reason == "enough"


def test_stopped_before_it_began_is_never_started(bench: Bench) -> None:
    stop = StopSignal()
    stop.stop()
    ended = bench.run("touch", "started", stop=stop)
    assert ended.cancelled and not ended.ok
    assert not (bench.folder / "started").exists()
    assert bench.read("both.txt") == ""


def test_child_that_holds_the_pipes_open_delays_nothing(bench: Bench) -> None:
    ended = bench.run("sh", "-c", "sleep 987 & echo done")
    assert ended.ok and ended.seconds < PATIENCE
    assert bench.texts == ["done\n"]


def test_child_that_writes_for_ever_delays_nothing(bench: Bench) -> None:
    ended = bench.run("sh", "-c", "yes & echo done")
    assert ended.ok and ended.seconds < PATIENCE


def test_exit_code_taken_by_another_is_no_success(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        process_tree.ProcessTree, "_kill_descendants", lambda process_tree: os.waitpid(process_tree.pid, 0)
    )
    with pytest.raises(StepFailedException, match="not known"):
        bench.run("true")


def test_reaper_setting_is_restored_and_no_descriptor_leaks(bench: Bench) -> None:
    bench.run("true")
    before = len(os.listdir("/proc/self/fd"))
    assert not host.is_reaper()
    for _ in range(5):
        bench.run("true", payload=b"x")
        with pytest.raises(StepFailedException):
            bench.run("no-such-program")
    assert not host.is_reaper()
    assert len(os.listdir("/proc/self/fd")) == before


def test_overhead_is_small(bench: Bench) -> None:
    def mean(action: Callable[[], object]) -> float:
        started = time.process_time()
        for _ in range(30):
            action()
        return (time.process_time() - started) / 30

    bench.run("/bin/true")
    plain = min(mean(lambda: subprocess.run(["/bin/true"], capture_output=True, check=True)) for _ in range(3))
    ours = min(mean(lambda: bench.run("/bin/true")) for _ in range(3))
    assert ours - plain < 0.010


def test_a_part_stops_with_the_whole_or_alone_and_several_may_have_one_name():
    whole = StopSignal()
    with whole.part("a") as first, whole.part("a") as second, whole.part("b") as other:
        whole.stop_part("nobody")
        whole.stop_part("a")
        assert (first.stopped, second.stopped, other.stopped, whole.stopped) == (True, True, False, False)
        whole.stop("interrupted")
        assert (other.reason, first.reason) == ("interrupted", "cancelled")
    with whole.part("late") as late:
        assert late.stopped
