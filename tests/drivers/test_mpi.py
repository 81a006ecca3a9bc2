"""Real ranks of Open MPI, and what happens where there is none."""

from __future__ import annotations

import shutil
import sys
import textwrap

import pytest

from stepwell.drivers import mpi

needs_mpirun = pytest.mark.skipif(shutil.which("mpirun") is None, reason="openmpi-bin is not installed")


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Return a function that runs a script in ranks, and returns how it ended and what was shown of it, sorted."""
    monkeypatch.chdir(tmp_path)

    def start(body, nodes="1", processes="2", *arguments):
        (tmp_path / "a.py").write_text(textwrap.dedent(body))
        monkeypatch.setattr(sys, "argv", ["a.py", *arguments])
        code = 0
        try:
            mpi.main("a.py", {"nodes": nodes, "processes": processes})
        except SystemExit as ended:
            code = ended.code
        out, err = capfd.readouterr()
        return code, sorted(out.splitlines()), err

    return start


TELL = """
    import os, sys
    names = ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE")
    print(*(os.environ[f"OMPI_COMM_WORLD_{name}"] for name in names), os.environ["AZ_BATCH_MASTER_NODE"], *sys.argv[1:])
"""


@needs_mpirun
def test_every_rank_knows_its_place_in_the_nodes_that_are_played(run, tmp_path):
    code, out, err = run(TELL, "2", "2", "x")
    assert (code, err) == (0, "")
    assert out == [f"[{rank}] {rank} 4 {rank % 2} 2 127.0.0.1:6000 x" for rank in range(4)]
    assert (tmp_path / "logs/70_driver_log_3.txt").read_text() == "3 4 1 2 127.0.0.1:6000 x\n"


@needs_mpirun
def test_ranks_speak_with_one_another(run):
    pytest.importorskip("mpi4py")
    body = """
        from mpi4py import MPI
        world = MPI.COMM_WORLD
        print(world.rank, world.allreduce(world.rank + 1))
    """
    assert run(body, "1", "3")[:2] == (0, ["[0] 0 6", "[1] 1 6", "[2] 2 6"])


@needs_mpirun
def test_the_first_rank_that_fails_ends_the_others_and_is_seen_with_its_own_output(run):
    body = """
        import os, sys, time
        if os.environ["OMPI_COMM_WORLD_RANK"] == "1":
            print("mine")
            sys.exit(7)
        time.sleep(600)
    """
    code, _, err = run(body)
    assert code == 7 and err == "The process 1 of 2 failed with exit code 7; its last lines:\nmine\n"


@needs_mpirun
def test_a_rank_that_is_killed_is_said_to_be(run):
    code, _, err = run("import os; os.kill(os.getpid(), 9)", "1", "1")
    assert code == 137 and err.startswith("The process was ended by signal 9")


def test_without_mpirun_one_process_runs_and_several_name_what_to_install(run, monkeypatch):
    found = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "mpirun" else found(name))
    assert run(TELL, "1", "1")[:2] == (0, ["0 1 0 1 127.0.0.1:6000"])
    assert run("import sys; sys.exit(4)", "1", "1")[0] == 4
    assert "apt-get install openmpi-bin" in run(TELL)[0]


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_a_number_of_processes_that_is_none_is_refused(run, text):
    assert run(TELL, text)[0] == f"The number of nodes must be a whole number of at least 1, not {text}."
