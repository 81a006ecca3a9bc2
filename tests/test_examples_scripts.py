"""The scripts of the examples, run by hand: no engine, only `Run.get_context()` outside of a run."""

import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

missing = [name for name in ("sklearn", "matplotlib") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"could not find {missing}")

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


PROGRAM = """
import json, os, runpy, sys
import matplotlib.backends.backend_agg, sklearn.datasets, sklearn.ensemble, sklearn.feature_extraction.text
import sklearn.linear_model, sklearn.model_selection, sklearn.pipeline, sklearn.svm
for path, *arguments in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        sys.argv[:] = [path, *arguments]
        sys.path[0] = os.path.dirname(path)
        runpy.run_path(path, run_name="__main__")
        sys.stdout.flush()
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit(f"{path} failed")
"""
"""Runs scripts one after the other, in a process each, and imports only once what all of them need."""


def scripts(*calls, cwd, seed=0):
    """Runs scripts with their arguments as a user would, and returns what they printed."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": str(seed),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([[str(word) for word in call] for call in calls])],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(folder):
    """Relative paths to bytes, for the whole tree."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def twice(run, tmp_path_factory, name):
    """The folders of two runs with different hash seeds, side by side."""
    folders = [tmp_path_factory.mktemp(name) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(run, folders, (1, 2)))
    return folders


# Digits -------------------------------------------------------------------------------------------------------------

STEPS = EXAMPLES / "digits" / "steps"
MODELS = ("svc", "logistic", "forest")


def run_digits(out, seed):
    scripts(
        (STEPS / "prepare.py", "--out", "digits"),
        *((STEPS / f"train_{model}.py", "--digits", "digits", "--out", model) for model in MODELS),
        (STEPS / "compare.py", "--models", *MODELS, "--out", "comparison"),
        (STEPS / "report.py", "--comparison", "comparison", "--out", "report"),
        cwd=out,
        seed=seed,
    )


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return twice(run_digits, tmp_path_factory, "digits")


def test_the_svc_reaches_the_published_accuracy(digits):
    ranking = json.loads((digits[0] / "comparison" / "ranking.json").read_text())
    accuracies = {score["model"]: round(score["accuracy"], 3) for score in ranking}
    assert accuracies["svc"] == 0.969
    assert list(accuracies) == ["svc", "logistic", "forest"]
    assert all(accuracy > 0.9 for accuracy in accuracies.values())


def test_digits_are_split_in_half_unshuffled(digits):
    lines = {part: (digits[0] / "digits" / f"{part}.csv").read_text().splitlines() for part in ("train", "test")}
    assert [len(lines["train"]), len(lines["test"])] == [1 + 898, 1 + 899]
    assert [line.split(",")[0] for line in lines["train"][1:11]] == list("0123456789")


def test_digits_write_the_same_bytes_again(digits):
    first, second = map(contents, digits)
    assert {"svc/model.pkl", "comparison/predictions.csv", "report/confusion_matrix.png"} <= set(first)
    assert [path for path in first | second if first.get(path) != second.get(path)] == []


def test_the_image_names_no_software(digits):
    image = (digits[0] / "report" / "confusion_matrix.png").read_bytes()
    assert image.startswith(b"\x89PNG")
    assert b"Software" not in image


def test_a_bad_gamma_costs_the_svc_its_place(digits, tmp_path):
    others = [digits[0] / model for model in MODELS[1:]]
    printed = scripts(
        (STEPS / "train_svc.py", "--digits", digits[0] / "digits", "--gamma", 0.1, "--out", "svc"),
        (STEPS / "compare.py", "--models", "svc", *others, "--out", "comparison"),
        cwd=tmp_path,
    )
    assert printed.splitlines()[-1].split() == ["3.", "svc", "0.101"]
    predictions = [folder / "predictions.csv" for folder in (tmp_path / "comparison", digits[0] / "logistic")]
    assert predictions[0].read_bytes() == predictions[1].read_bytes()


# Article ------------------------------------------------------------------------------------------------------------


def run_article(out, seed):
    shutil.copytree(EXAMPLES / "article", out / "article", ignore=shutil.ignore_patterns("*.pkl", "__pycache__"))
    data, project = "article/data/20news.pkl", out / "article" / "project"
    compare = (project / "compare.py", "--comp_data1", "processed_data1", "--comp_data2", "output_data1")
    scripts(
        (out / "article" / "make_data.py",),
        (project / "train.py", "--input", data, "--output", "processed_data1"),
        (project / "extract.py", "--input", data, "--output", "output_data1"),
        *((*compare, "--output_data", f"out_data3_{words}", "--param1", words) for words in (10, 20)),
        cwd=out,
        seed=seed,
    )


@pytest.fixture(scope="module")
def article(tmp_path_factory):
    return twice(run_article, tmp_path_factory, "article")


def test_the_stand_in_corpus_has_the_shape_of_the_real_one(article):
    corpus = pickle.loads((article[0] / "article" / "data" / "20news.pkl").read_bytes())
    assert set(corpus) == {"data", "target", "target_names"}
    assert Counter(corpus["target"]) == {topic: 10 for topic in range(4)}
    assert len(set(corpus["data"])) == 40
    assert corpus["target_names"] == ["comp.graphics", "rec.motorcycles", "rec.sport.hockey", "sci.space"]


def test_the_article_trains_extracts_and_compares(article):
    scores = json.loads((article[0] / "processed_data1" / "scores.json").read_text())
    assert scores["texts"] == 40
    assert scores["accuracy"] > 0.8
    assert "orbit" in json.loads((article[0] / "output_data1").read_text())["sci.space"]
    for words in (10, 20):
        comparison = json.loads((article[0] / f"out_data3_{words}" / "comparison.json").read_text())
        assert len(comparison) == 4
        for found in comparison.values():
            assert 0 < len(found["agreed"]) <= words
            assert found["share"] == round(len(found["agreed"]) / words, 3)


def test_the_article_writes_the_same_bytes_again(article):
    first, second = map(contents, article)
    assert "article/data/20news.pkl" in first
    assert [path for path in first | second if first.get(path) != second.get(path)] == []
