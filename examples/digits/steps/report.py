"""Draws the confusion matrix of the best model and writes a page about it."""

import argparse
from pathlib import Path

import digits_io
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stepwell import Run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--comparison", required=True, help="folder that compare.py wrote")
parser.add_argument("--out", required=True, help="folder to write: report.md, confusion_matrix.png")
args = parser.parse_args()

ranking = digits_io.read_json(Path(args.comparison) / "ranking.json")
labels, predicted = digits_io.read_table(Path(args.comparison) / "predictions.csv").T
best = ranking[0]

matrix = np.zeros((10, 10), dtype=int)
np.add.at(matrix, (labels, predicted), 1)

figure = Figure(figsize=(5, 5), layout="tight")
FigureCanvasAgg(figure)
axes = figure.add_subplot(xlabel="predicted", ylabel="label", xticks=range(10), yticks=range(10))
axes.set_title(f"{best['model']}: accuracy {best['accuracy']:.3f}")
axes.imshow(np.sqrt(matrix), cmap="Blues")  # the root brings out the few mistakes
for (row, column), count in np.ndenumerate(matrix):
    if count:
        axes.text(column, row, count, ha="center", va="center", color="white" if row == column else "black")

table = ["| model | accuracy |", "|---|---|", *(f"| {score['model']} | {score['accuracy']:.3f} |" for score in ranking)]
page = ["# Handwritten digits", "", *table, "", f"![Confusion matrix of {best['model']}](confusion_matrix.png)", ""]

out = Path(args.out)
out.mkdir(parents=True, exist_ok=True)
(out / "report.md").write_text("\n".join(page), encoding="utf-8")
figure.savefig(out / "confusion_matrix.png", dpi=100, metadata={"Software": None})

run = Run.get_context()
run.log("accuracy", best["accuracy"])
run.log_image("confusion_matrix", path=str(out / "confusion_matrix.png"))
run.log_confusion_matrix(
    "confusion_matrix",
    {
        "schema_type": "confusion_matrix",
        "schema_version": "1.0.0",
        "data": {"class_labels": [str(digit) for digit in range(10)], "matrix": matrix.tolist()},
    },
)
print(f"best: {best['model']}, accuracy {best['accuracy']:.3f}")
