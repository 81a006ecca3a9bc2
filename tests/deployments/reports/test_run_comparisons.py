"""Runs with their parameters and metrics as a table for people."""

from __future__ import annotations

from stepwell.deployments.reports.run_comparisons import comparison_lines


def test_a_list_is_itself_where_it_is_a_parameter():
    rows = [
        {"run": f"a#{n}", "status": "Finished", "seconds": 1.0, "machine": "m", "params.sizes": [1, 2], "params.n": [n]}
        for n in (1, 2)
    ]
    lines = comparison_lines(rows)
    assert lines[1].split()[-1] == "[1]" and lines[-1] == "The same in all: sizes = [1, 2]"
