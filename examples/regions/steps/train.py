"""Fit a line to the rents of one region."""

import argparse
import csv
import json
from pathlib import Path
from statistics import linear_regression, mean

from stepwell import Run

parser = argparse.ArgumentParser()
parser.add_argument("--flats", type=Path)
parser.add_argument("--model", type=Path)
options = parser.parse_args()

with open(options.flats, newline="") as part:
    rows = [(float(row["square_metres"]), float(row["rent"])) for row in csv.DictReader(part)]
sizes, rents = zip(*rows, strict=True)
line = linear_regression(sizes, rents)
error = mean(abs(line.slope * size + line.intercept - rent) for size, rent in rows)

model = {"region": options.flats.stem, "slope": line.slope, "intercept": line.intercept, "error": error}
options.model.write_text(json.dumps(model))
Run.get_context().log("error", error)
