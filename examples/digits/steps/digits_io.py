"""The files that the steps hand to each other: CSV and sorted JSON, so that equal values are equal bytes."""

import json
from pathlib import Path

import numpy as np


def write_table(path, columns, rows):
    """Writes whole numbers as CSV under a line of column names."""
    np.savetxt(path, rows, fmt="%d", delimiter=",", header=",".join(columns), comments="")


def read_table(path):
    """The whole numbers that `write_table` wrote."""
    return np.loadtxt(path, dtype=int, delimiter=",", skiprows=1, ndmin=2)


def read_digits(folder, part):
    """Images (one row of 64 pixels each) and labels of the `train` or `test` part of a folder that prepare.py wrote."""
    table = read_table(Path(folder) / f"{part}.csv")
    return table[:, 1:], table[:, 0]


def write_json(path, value):
    """Writes `value` with sorted keys."""
    Path(path).write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path):
    """The value that `write_json` wrote."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
