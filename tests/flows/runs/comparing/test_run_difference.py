"""What differs between two runs: also where only another machine has what a step recorded."""

from __future__ import annotations

import keeping
from sharing_stores import open_shared, share

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.flows.runs.comparing.run_difference import ABSENT, Side, pairs, run_difference
from stepwell.flows.runs.comparing.run_table import labels_of, rows_of


def test_records_of_other_machines_are_compared_and_no_byte_of_their_outputs_is_fetched(tmp_path):
    url = f"file://{tmp_path / 'remote'}"
    there, here = open_shared(tmp_path / "a", url), open_shared(tmp_path / "b", url)
    made = [share(there, keeping.fingerprint(rate), outputs={"model": b"x" * rate}) for rate in (10, 20)]
    sides = []
    for number, record in enumerate(made, 1):
        run = RunFolder(tmp_path / f"run{number}")
        run.describe({"number": number, "pipeline": {"name": "digits", "steps": [{"id": "train"}]}})
        run.append({"step": "train", "status": "done", "key": record.key, "step_run_id": f"s{number}"})
        sides.append(Side.of(here, run))
    [step] = run_difference(*sides).steps
    assert step.unknown == () and any("10" in text and "20" in text for text in step.outputs)
    assert not here.tree_path(made[0].outputs["model"].digest).exists()
    here.finish_sharing()
    there.finish_sharing()


def test_runs_of_one_name_are_told_apart_by_their_machines(tmp_path):
    def side(number, **more):
        run = RunFolder(tmp_path / f"{number}")
        run.describe({"number": 1, "pipeline": {"name": "digits", "steps": []}, **more})
        return Side.of(keeping.open_store(tmp_path / "store"), run)

    ann, ben = (side(name, machine={"name": name}) for name in ("ann@a", "ben@b"))
    assert run_difference(ann, ben).names == ("digits#1 (ann@a)", "digits#1 (ben@b)")
    assert run_difference(side(1), side(2)).names == ("digits#1 (1)", "digits#1 (2)")
    rows = rows_of([ann.summary, ben.summary])
    assert labels_of(rows) == ["digits#1 (ann@a)", "digits#1 (ben@b)"]
    assert labels_of(rows[:1]) == ["digits#1"]


def test_pairs_hold_what_differs_and_nan_is_nan():
    nan = float("nan")
    assert pairs({"a": 1, "b": nan, "c": 2}, {"a": 1, "b": nan, "d": None}) == {"c": (2, ABSENT), "d": (ABSENT, None)}
