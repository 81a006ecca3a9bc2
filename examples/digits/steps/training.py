"""What all training scripts do around their one model."""

import argparse
import pickle
from pathlib import Path

import digits_io
import numpy as np
from threadpoolctl import threadpool_limits

from stepwell import Run


def arguments(description):
    """A parser that knows the arguments of every training script."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--digits", required=True, help="folder that prepare.py wrote")
    parser.add_argument("--out", required=True, help="folder to write: model.pkl, predictions.csv, scores.json")
    return parser


def train(name, model, digits, out):
    """Fits `model` on the first half of the digits and judges it on the second."""
    images, labels = digits_io.read_digits(digits, "train")
    test_images, test_labels = digits_io.read_digits(digits, "test")
    with threadpool_limits(1):  # the models train side by side; small ones are faster on one thread each, too
        predicted = model.fit(images, labels).predict(test_images)
    accuracy = float(np.mean(predicted == test_labels))

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.pkl").write_bytes(pickle.dumps(model, protocol=4))
    digits_io.write_table(folder / "predictions.csv", ["label", "predicted"], np.column_stack([test_labels, predicted]))
    digits_io.write_json(folder / "scores.json", {"model": name, "accuracy": accuracy})

    Run.get_context().log("accuracy", accuracy)
    print(f"{name}: accuracy {accuracy:.3f}")
