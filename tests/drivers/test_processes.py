"""Processes that find one another by the variables of PyTorch and TensorFlow."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest

from stepwell.drivers import processes


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)

    def start(body, **settings):
        (tmp_path / "a.py").write_text(textwrap.dedent(body))
        monkeypatch.setattr(sys, "argv", ["a.py"])
        code = 0
        try:
            processes.main("a.py", settings)
        except SystemExit as ended:
            code = ended.code
        out, err = capfd.readouterr()
        return code, sorted(out.splitlines()), err

    return start


def test_processes_of_pytorch_meet_at_the_master(run):
    body = """
        import os, socket
        rank, place = int(os.environ["RANK"]), (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
        if rank == 0:
            server = socket.create_server(place)
            ranks = [server.accept()[0].makefile().readline().strip() for _ in range(3)]
            print(sorted(ranks))
        else:
            while True:
                try:
                    other = socket.create_connection(place)
                    break
                except OSError:
                    pass
            names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "NODE_RANK")
            other.sendall((" ".join(os.environ[name] for name in names) + "\\n").encode())
    """
    code, out, err = run(body, kind="pytorch", workers="4", nodes="2")
    assert (code, err) == (0, "") and out == ["[0] ['1 4 1 0', '2 4 0 1', '3 4 1 1']"]


def test_workers_of_tensorflow_know_their_cluster_and_servers_end_with_them(run):
    body = """
        import os, time
        print(os.environ["TF_CONFIG"])
        if '"type": "ps"' in os.environ["TF_CONFIG"]:
            time.sleep(600)
    """
    code, out, _ = run(body, kind="tensorflow", workers="2", servers="1")
    told = {line.partition(" ")[0]: json.loads(line.partition(" ")[2]) for line in out}
    assert code == 0 and {"[worker_0]", "[worker_1]"} <= set(told)
    first = told["[worker_1]"]
    assert first["task"] == {"type": "worker", "index": 1}
    assert [len(first["cluster"][kind]) for kind in ("worker", "ps")] == [2, 1]
    assert len({place for found in first["cluster"].values() for place in found}) == 3


def test_the_first_that_fails_ends_the_others_and_is_seen(run):
    body = """
        import os, time
        if os.environ["RANK"] == "1":
            raise ValueError("no data")
        time.sleep(600)
    """
    code, _, err = run(body, kind="pytorch", workers="2", nodes="1")
    assert code == 1 and err.startswith("The process 1 of 2 failed") and err.endswith("ValueError: no data\n")
