"""Values as R keeps them, read by a real R."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from stepwell.drivers.r.data import NamedTexts, Table, serialized


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="r-base-core is not installed")
def test_r_reads_what_is_written(tmp_path):
    value = {
        "one": "ä", "many": ["a", "b"], "none": [], "empty": {}, "list": {"x": "y"}, "texts": NamedTexts(a="1", b="2"),
        "table": Table(4),
    }  # fmt: skip
    (tmp_path / "a.rds").write_bytes(serialized(value))
    expected = (
        'list(one = "\\u00e4", many = c("a", "b"), none = character(0), empty = list(), list = list(x = "y"), '
        'texts = c(a = "1", b = "2"), table = matrix(character(0), 0, 4))'
    )
    code = f"found <- readRDS('{tmp_path}/a.rds'); cat(identical(found, {expected})); str(found)"
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("TRUE"), done.stdout
