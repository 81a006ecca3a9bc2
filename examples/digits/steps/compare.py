"""Ranks trained models by accuracy and passes on the predictions of the best."""

import argparse
import shutil
from pathlib import Path

import digits_io

from stepwell import Run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--models", nargs="+", required=True, help="folders that the training scripts wrote")
parser.add_argument("--out", required=True, help="folder to write: ranking.json, predictions.csv")
args = parser.parse_args()

scores = {folder: digits_io.read_json(Path(folder) / "scores.json") for folder in args.models}
folders = sorted(scores, key=lambda folder: (-scores[folder]["accuracy"], scores[folder]["model"]))
ranking = [scores[folder] for folder in folders]

out = Path(args.out)
out.mkdir(parents=True, exist_ok=True)
digits_io.write_json(out / "ranking.json", ranking)
shutil.copyfile(Path(folders[0]) / "predictions.csv", out / "predictions.csv")

columns = {column: [score[column] for score in ranking] for column in ("model", "accuracy")}
Run.get_context().log_table("ranking", columns)
for place, score in enumerate(ranking, 1):
    print(f"{place}. {score['model']:<9} {score['accuracy']:.3f}")
