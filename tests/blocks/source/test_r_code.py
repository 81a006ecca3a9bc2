"""Code in R, read without R."""

from __future__ import annotations

from stepwell.blocks.source.r_code import libraries_of, sourced_by


def test_packages_are_found_however_they_are_loaded_and_not_in_comments_or_texts_that_look_so():
    code = b"""
    library(dplyr); require("tidyr"); suppressPackageStartupMessages(library('readr'))
    if (requireNamespace("jsonlite", quietly = TRUE)) jsonlite::toJSON(1)
    x <- data.table:::fread("a # b")  # library(none)
    library(package = stepwell); azuremlsdk::log_metric_to_run("a", 1)
    """
    assert libraries_of(code) == {"dplyr", "tidyr", "readr", "jsonlite", "data.table"}


def test_files_that_are_sourced_are_followed_within_the_source_directory():
    files = {
        "a.R": b'source("lib/b.R"); source(file = \'./c.R\')\n# source("d.R")\nsource("../out.R"); source(x)',
        "lib/b.R": b"source('c.R'); source('gone.R')",
        "c.R": b'source("a.R")',
        "d.R": b"1",
        "../out.R": b"1",
    }
    found = sourced_by("a.R", lambda name: files.get(name, b""))
    assert found == {"lib/b.R": files["lib/b.R"], "c.R": files["c.R"]}
