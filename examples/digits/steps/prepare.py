"""Splits scikit-learn's handwritten digits: the first half trains, the second half tests, in the order they come in."""

import argparse
from pathlib import Path

import digits_io
import numpy as np
from sklearn.datasets import load_digits

from stepwell import Run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", required=True, help="folder to write: train.csv, test.csv")
args = parser.parse_args()

images, labels = load_digits(return_X_y=True)
table = np.column_stack([labels, images])
columns = ["label", *(f"pixel{i}" for i in range(images.shape[1]))]
half = len(table) // 2

folder = Path(args.out)
folder.mkdir(parents=True, exist_ok=True)
run = Run.get_context()
for part, rows in {"train": table[:half], "test": table[half:]}.items():
    digits_io.write_table(folder / f"{part}.csv", columns, rows)
    run.log(f"{part}_images", len(rows))
    print(f"{part}: {len(rows)} images")
run.log_list("images_per_digit", np.bincount(labels).tolist())
