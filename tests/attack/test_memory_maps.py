"""Attacks through memory maps, whose writes leave a file's times alone: no stale hit, and no change unseen while a step runs."""

from __future__ import annotations

import mmap
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import PATIENCE, eventually
from stepwell import DataReference, Experiment, PipelineData
from stepwell.blocks.store import stat_cache

COPY = "open(args[1], 'wb').write(open(args[0], 'rb').read(1))\n"


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """Map a file to write, one page of it written already: further writes to that page leave no mark."""
    path.write_bytes(b"0" * 4096)
    descriptor = os.open(path, os.O_RDWR)
    with mmap.mmap(descriptor, 0) as memory:
        os.close(descriptor)
        memory[0:1] = b"a"
        time.sleep(0.1)  # so that its times are not those of just now
        yield memory


@pytest.fixture
def data(project) -> Path:
    return project.workspace.get_default_datastore().local_root / "data.bin"


def reader(project, data, body=COPY, **more):
    store, out = project.workspace.get_default_datastore(), PipelineData("out")
    raw = DataReference(store, "raw", data.name)
    step = project.step("s.py", body, name="s", arguments=[raw, out], inputs=[raw], outputs=[out], **more)
    return project.pipeline(step)


def written(project, pipeline) -> bytes:
    return project.workspace.path_of(pipeline()["s"]["out"]).read_bytes()


def test_no_write_through_a_map_gets_a_stale_result(project, data):
    pipeline = reader(project, data)
    with mapped(data) as memory:
        for letter in (b"a", b"b", b"c"):
            memory[0:1] = letter
            assert written(project, pipeline) == letter
            assert pipeline.plan()[0].action == "reuse"
        memory[0:1] = b"d"
        assert pipeline.plan()[0].why == ("input raw changed",)


def meanwhile(folder: Path, action) -> tuple[str, threading.Thread]:
    """Return the code with which a script waits until the action was done, and the thread that does it."""
    started, go = folder / "started", folder / "go"

    def act() -> None:
        until = time.monotonic() + PATIENCE
        while not started.exists() and time.monotonic() < until:
            time.sleep(0.01)
        action()
        go.touch()

    code = (
        f"import os, time\nopen({str(started)!r}, 'w').close()\nuntil = time.monotonic() + {PATIENCE}\n"
        f"while not os.path.lexists({str(go)!r}) and time.monotonic() < until:\n    time.sleep(0.01)\n"
    )
    thread = threading.Thread(target=act)
    thread.start()
    return code, thread


@pytest.mark.parametrize("mode", ["file", "folder"])
def test_an_input_that_changes_through_a_map_while_the_step_runs_is_seen(project, data, mode):
    place = data if mode == "file" else data.parent / "folder" / "data.bin"
    place.parent.mkdir(exist_ok=True)
    with mapped(place) as memory:
        wait, thread = meanwhile(project.folder, lambda: memory.__setitem__(0, ord("b")))
        body = wait + "open(args[1], 'w').write('done')\n"
        summary = project.run(reader(project, data if mode == "file" else place.parent, body))
        thread.join()
    assert summary.steps[0].happened == "failed"
    assert "The input 'raw' changed while step 's' read it" in summary.steps[0].error


def test_an_undeclared_read_that_changes_through_a_map_gives_no_later_hit(project, tmp_path):
    side, out = tmp_path / "side.bin", PipelineData("out")
    with mapped(side) as memory:
        wait, thread = meanwhile(project.folder, lambda: memory.__setitem__(0, ord("b")))
        body = f"found = open({str(side)!r}, 'rb').read(1)\n{wait}open(args[0], 'wb').write(found)\n"
        pipeline = project.pipeline(project.step("s.py", body, name="s", arguments=[out], outputs=[out]))
        assert written(project, pipeline) == b"a"
        thread.join()
        assert pipeline.plan()[0].action == "run"
        assert written(project, pipeline) == b"b"
        assert project.happened(pipeline) == {"s": "reused"}


@pytest.mark.parametrize("way", ["called", "submitted"])
def test_a_digest_remembered_wrongly_is_found_out_by_verify(project, data, way):
    data.write_bytes(b"a")
    pipeline = reader(project, data)
    assert written(project, pipeline) == b"a"
    [known] = project.workspace.store.tree_at(data).entries
    data.write_bytes(b"b")
    path = os.path.realpath(data)

    def deceived():
        project.workspace.digests._save([stat_cache._row(path, os.stat(path), known.digest, time.time_ns())])
        return pipeline.plan()[0].action == "reuse"

    eventually(deceived)  # who finds its table locked does without for some seconds
    assert pipeline.plan(verify_digests=True)[0].why == ("input raw changed",)
    if way == "called":
        path = project.workspace.path_of(pipeline(verify_digests=True)["s"]["out"])
    else:
        run = Experiment(project.workspace, "careful").submit(pipeline, verify_digests=True)
        assert run.wait_for_completion(show_output=False) == "Finished"
        path = run.get_outputs()["s"]["out"].local_path
    assert path.read_bytes() == b"b"
