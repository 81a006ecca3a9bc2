"""Scripts in R, run by a real R."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from stepwell.drivers import r
from stepwell.script.events import read_events
from stepwell.script.metrics import metrics_of

needs_r = pytest.mark.skipif(shutil.which("Rscript") is None, reason="r-base-core is not installed")


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Return a function that runs a script in R, and returns how it ended, and what it wrote."""
    (tmp_path / "source").mkdir()
    (tmp_path / "control").mkdir()
    monkeypatch.chdir(tmp_path / "source")
    monkeypatch.setenv("STEPWELL_CONTROL", str(tmp_path / "control"))
    monkeypatch.setenv("AZUREML_RUN_ID", "run-1")

    def start(code, *arguments, **settings):
        (tmp_path / "source/a.R").write_text(textwrap.dedent(code), encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["a.R", *arguments])
        code = 0
        try:
            r.main("a.R", settings)
        except SystemExit as ended:
            code = ended.code
        out, err = capfd.readouterr()
        return code, out, err

    return start


@needs_r
def test_every_value_of_r_is_logged_as_it_is_or_refused(run, tmp_path):
    """Whatever the options that say how numbers are printed."""
    code, out, err = run(
        """
        options(OutDec = ",", digits = 3, scipen = -9)
        log_metric("na", NA); log_metric("na_number", NA_real_); log_metric("inf", -Inf); log_metric("pi", 3.14159265)
        log_metric("level", factor("b", levels = c("a", "b"))); log_metric("some", c(1, NA)); log_metric("hours", as.difftime(3, units = "hours"))
        log_metric("matrix", matrix(1:4, 2)); log_metric("million", 1e6); log_metric("when", as.POSIXct(0, origin = "1970-01-01", tz = "UTC"))
        log_list("nothing", NULL); log_list("named", list(a = 1, b = "x")); log_list("days", as.Date(c("2026-01-02", NA)))
        log_table("frame", data.frame(day = as.Date("2026-01-02") + 0:1, x = c(NA, 1))); log_table("cells", matrix(1:2, 1))
        log_metric("described", 1, description = c("in", "words")); set_tag("tag", 3)
        refused <- function(expression) cat(tryCatch({expression; "taken"}, error = conditionMessage), "\n")
        refused(log_metric("x", NULL)); refused(log_metric("x", numeric(0))); refused(log_metric("x", NA_character_)); refused(log_metric("x", mean))
        refused(log_metric("x", 1i)); refused(log_metric("x", 1, step = "one")); refused(log_metric(NA_character_, 1)); refused(log_row("x", "", 1))
        refused(log_table("x", 1:2)); refused(set_tag("x", c("a", "b"))); refused(add_properties(list(a = NULL, b = 1:2))); refused(add_properties("x"))
        """
    )
    assert (code, err) == (0, "")
    metrics = metrics_of(read_events(tmp_path / "control"))
    assert [metrics.pop(name) for name in ("na", "na_number")] == pytest.approx([float("nan")] * 2, nan_ok=True)
    assert metrics == {
        "inf": float("-inf"), "pi": 3.14159265, "level": "b", "some": [1, None], "hours": 3, "matrix": [[1, 3], [2, 4]], "million": 1e6,
        "when": "1970-01-01T00:00:00+0000", "nothing": [], "named": [1, "x"], "days": ["2026-01-02", None], "cells": {"V1": [1], "V2": [2]},
        "frame": {"day": ["2026-01-02", "2026-01-03"], "x": [None, 1]}, "described": 1,
    }  # fmt: skip
    assert [line.strip() for line in out.splitlines()] == [
        "There is no value of x to be logged: it is NULL.",
        "There is no value of x to be logged: it is empty.",
        "The value of x is NA: log a number or a text.",
        "A value of class function can't be logged: log numbers, texts, dates, or lists of them.",
        "A value of class complex can't be logged: log numbers, texts, dates, or lists of them.",
        "The step of x must be a number.",
        "The name of what is logged must be a text.",
        "The values of a row must have names.",
        "The columns of a table must have names.",
        "The value of x must be one text.",
        "The value of a must be one text.",
        "Properties must have names.",
    ]


@needs_r
def test_what_a_script_logs_is_of_its_run(run, tmp_path):
    (tmp_path / "source/p.png").write_bytes(b"png")
    code, out, err = run(
        """
        log_metric("loss", 0.1 + 0.2); log_metric("loss", NaN, step = 2L); log_metric("n", 3L)
        log_list("list", c(1, NA)); log_list("one", "a")
        log_row("row", a = 1L, b = "x\\"\\\\ä\\n"); log_row("row", a = 2L, b = NULL)
        log_table("table", data.frame(x = 1:2, y = factor(c("a", "b"))))
        log_metric("day", as.Date("2026-01-02")); log_metric("nested", list(a = list(TRUE, NULL), b = c(1.5, 2)))
        set_tag("by", "r"); add_properties(list(kind = "tree"))
        upload_file("outputs/p.png", "p.png"); log_image("plot", "p.png"); log_image("plot", "p.png")
        cat(get_current_run()$id, commandArgs(trailingOnly = TRUE))
        """,
        "--rate",
        "1",
    )
    assert (code, out, err) == (0, "run-1 --rate 1", "")
    events = read_events(tmp_path / "control")
    metrics = metrics_of(events)
    [first, second] = metrics.pop("loss")
    assert first == 0.1 + 0.2 and second != second
    assert metrics == {
        "n": 3, "list": [1, None], "one": ["a"], "row": {"a": [1, 2], "b": ['x"\\ä\n', None]},
        "table": {"x": [1, 2], "y": ["a", "b"]}, "day": "2026-01-02", "nested": {"a": [True, None], "b": [1.5, 2]},
        "plot": ["plot.png", "plot_1.png"],
    }  # fmt: skip
    others = [
        (event["type"], event["name"], event["value"]) for event in events if event["type"] not in ("metric", "image")
    ]
    assert others == [("tag", "by", "r"), ("property", "kind", "tree"), ("file", "outputs/p.png", "outputs/p.png")]
    assert (tmp_path / "control/files/outputs/p.png").read_bytes() == b"png"


@needs_r
def test_v1s_package_is_there_and_says_nothing(run, tmp_path):
    code = 'library(azuremlsdk); log_metric_to_run("a", 1); azuremlsdk::log_row_to_run("r", x = 2); library(stepwell)'
    assert run(code) == (0, "", "")
    assert metrics_of(read_events(tmp_path / "control")) == {"a": 1, "r": {"x": [2]}}


@needs_r
def test_a_script_fails_as_r_does(run):
    code, _, err = run('f <- function() stop("no data")\nf()')
    assert code == 1 and "Error in f() : no data" in err
    assert run("quit(status = 7)")[0] == 7


@needs_r
def test_files_that_r_reads_are_noted(run, tmp_path, monkeypatch):
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    (tmp_path / "source/lib.R").write_text("y <- 1")
    noted = []
    monkeypatch.setattr(r, "_note", lambda reads: noted.extend(Path(reads).read_text().splitlines()))
    code = """
        x <- read.csv("../data.csv"); saveRDS(x, "../x.rds"); x <- readRDS("../x.rds"); source("lib.R")
        writeLines("out", "../written.txt"); library(stats)
    """
    assert run(code)[0] == 0
    assert list(dict.fromkeys(noted)) == [
        str(tmp_path / "data.csv"),
        str(tmp_path / "x.rds"),
        str(tmp_path / "source/lib.R"),
    ]


def test_without_r_one_sentence_says_what_to_install(run, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert run("1")[0] == "Scripts in R need `Rscript`: Install R (on Debian: apt-get install r-base-core)."


@pytest.fixture
def repository(tmp_path):
    """Return a repository of the kind of CRAN, with two packages, one of which needs the other."""
    place = tmp_path / "cran/src/contrib"
    place.mkdir(parents=True)
    for name, version, needs in (
        ("alpha", "1.0", ""),
        ("beta", "2.0", "Imports: alpha\n"),
        ("beta", "1.0", "Imports: alpha\n"),
    ):
        home = tmp_path / "made" / name
        shutil.rmtree(home, ignore_errors=True)
        (home / "R").mkdir(parents=True)
        (home / "DESCRIPTION").write_text(
            f"Package: {name}\nVersion: {version}\nTitle: T\nDescription: D.\nLicense: GPL\n{needs}"
        )
        (home / "NAMESPACE").write_text("export(word)\n")
        (home / "R/word.R").write_text(f"word <- function() '{name} {version}'\n")
        folder = place / "Archive" / name if (name, version) == ("beta", "1.0") else place
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "czf", folder / f"{name}_{version}.tar.gz", "-C", home.parent, name], check=True)
    subprocess.run(
        ["Rscript", "-e", f"tools::write_PACKAGES('{place}', type = 'source')"], check=True, capture_output=True
    )
    return f"file://{tmp_path}/cran"


@needs_r
def test_packages_that_are_lacking_are_installed_once_with_what_they_need(run, repository, tmp_path, monkeypatch):
    monkeypatch.setenv("STEPWELL_R_LIBRARIES", str(tmp_path / "libraries"))
    monkeypatch.setenv("STEPWELL_CRAN", repository)
    code = "cat(beta::word(), alpha::word())"
    newest, older = {"cran": [{"name": "beta"}]}, {"cran": [{"name": "beta", "version": "1.0"}]}
    found = run(code, packages=json.dumps(newest))
    assert found[1].endswith("beta 2.0 alpha 1.0"), found
    assert run(code, packages=json.dumps(newest))[1] == "beta 2.0 alpha 1.0"
    assert run(code, packages=json.dumps(older))[1].endswith("beta 1.0 alpha 1.0")
    archive = {"urls": [f"{repository}/src/contrib/alpha_1.0.tar.gz"]}
    assert run("cat(alpha::word())", packages=json.dumps(archive))[1].endswith("alpha 1.0")
    assert len(list((tmp_path / "libraries").iterdir())) == 3
    code, _, _ = run("1", packages=json.dumps({"cran": [{"name": "none.such"}]}))
    assert "can't be installed, as is said above" in code and len(list((tmp_path / "libraries").iterdir())) == 3
