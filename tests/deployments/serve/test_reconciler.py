from __future__ import annotations

import time

from stepwell.deployments.serve.child_output import ChildLog
from stepwell.deployments.serve.reconciler import Reconciler
from stepwell.errors import ServerException


def test_every_chore_has_its_turn_whatever_happens_to_others(tmp_path, capsys):
    done = []

    def broken():
        raise ValueError("so it is")

    def away():
        raise ServerException("Prefect's server does not answer")

    reconciler = Reconciler([broken, away, lambda: done.append(1)], ChildLog(tmp_path, "keeper"), pause=0.01)
    reconciler.round()
    reconciler.round()
    assert done == [1, 1]
    said = capsys.readouterr().err.splitlines()
    assert said == ["keeper | ValueError: so it is", "keeper | Prefect's server does not answer"]
    assert (tmp_path / "keeper.log").read_text().count("Traceback") == 1


def test_an_error_that_comes_back_is_told_again(tmp_path, capsys):
    errors = [ValueError("a"), None, ValueError("a"), ValueError("b")]

    def chore():
        error = errors.pop(0)
        if error:
            raise error

    reconciler = Reconciler([chore], ChildLog(tmp_path, "keeper"))
    for _ in range(4):
        reconciler.round()
    assert capsys.readouterr().err.count("keeper |") == 3


def test_it_stops(tmp_path):
    done = []
    reconciler = Reconciler([lambda: done.append(1)], ChildLog(tmp_path, "keeper"), pause=0.01)
    reconciler.start()
    while len(done) < 3:
        time.sleep(0.01)
    reconciler.stop()
    count = len(done)
    time.sleep(0.05)
    assert len(done) == count
