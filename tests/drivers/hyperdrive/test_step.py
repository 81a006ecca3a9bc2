"""What a sweep leaves: the report names the best of the trials that finished, since only that has all of its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stepwell.drivers.hyperdrive import step
from stepwell.drivers.hyperdrive.sweep import Sweep, Trial


class Logged:
    """A run that notes what is logged."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def log_image(self, *_: object, **__: object) -> None:
        pass

    def log_row(self, name: str, **row: Any) -> None:
        self.rows.append({"name": name, **row})


class Trials(Sweep):
    """A sweep whose trials have ended so."""

    def __init__(self, goal: str, *ended: tuple[str, list[float]]) -> None:
        self._goal = goal
        self.trials = [Trial(number, {"x": number}, f"run {number}") for number in range(len(ended))]
        for trial, (status, values) in zip(self.trials, ended, strict=True):
            trial.status, trial.values = status, values


@pytest.mark.parametrize(
    ("goal", "ended", "best"),
    [
        ("maximize", [("Finished", [0.5, 0.7]), ("Canceled", [0.9]), ("Failed", [0.8])], "run 0"),
        ("minimize", [("Canceled", [0.1]), ("Finished", [0.5]), ("Finished", [0.4, 0.6])], "run 2"),
        ("maximize", [("Failed", []), ("Canceled", [0.9])], "run 1"),
        ("maximize", [("Finished", []), ("Failed", [])], None),
    ],
)
def test_the_best_trial_is_one_that_finished_if_any_did(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, goal: str, ended: list[tuple[str, list[float]]], best: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    logged = Logged()
    monkeypatch.setattr(step.Run, "get_context", lambda: logged)
    step._leave_report(Trials(goal, *ended), "score")
    assert [row["run"] for row in logged.rows if row["name"] == "best trial"] == ([best] if best else [])
    rows = json.loads(Path(step.TABLE).read_text())
    assert [row["status"] for row in rows] == [status for status, _ in ended]
