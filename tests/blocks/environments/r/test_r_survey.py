"""What an R finds: its version and packages."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from stepwell.blocks.environments.r import r_survey as module
from stepwell.blocks.environments.r.r_survey import RSurvey, r_survey


def test_versions_are_those_of_packages_and_of_all_that_they_need():
    packages = {
        "dplyr": ("1.1", frozenset({"rlang", "stats"})),
        "rlang": ("1.0", frozenset({"dplyr"})),
        "stats": ("", frozenset()),
        "other": ("2", frozenset()),
    }
    assert RSurvey("4.2.2", packages).versions(["dplyr", "gone"]) == {"dplyr": "1.1", "rlang": "1.0"}


def test_names_are_read_from_a_list_of_needs():
    assert module._names("R (>= 3.5), rlang (>= 1.0),  vctrs, ") == {"rlang", "vctrs"}


def test_without_r_there_is_no_survey():
    assert r_survey("no-such-rscript") is None


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="r-base-core is not installed")
def test_a_survey_is_made_again_when_a_package_is_installed(tmp_path, monkeypatch):
    tmp_path = tmp_path / "library"
    tmp_path.mkdir()
    variables = {"R_LIBS": str(tmp_path)}
    monkeypatch.setattr(module, "_known", {})
    first = r_survey("Rscript", variables)
    assert first and first.version[0].isdigit() and first.packages["stats"] == ("", frozenset())
    assert r_survey(variables=variables) is first
    made = tmp_path.parent / "mine"
    made.mkdir()
    (made / "DESCRIPTION").write_text(
        "Package: mine\nVersion: 0.3\nTitle: T\nDescription: D.\nLicense: GPL\nImports: stats,\n  utils (>= 1.0)\n"
    )
    (made / "NAMESPACE").write_text("")
    command = ["R", "CMD", "INSTALL", "--no-docs", "--no-byte-compile", f"--library={tmp_path}", made]
    subprocess.run(command, check=True, capture_output=True)
    again = r_survey(variables=variables)
    assert again and again.packages["mine"] == ("0.3", frozenset({"stats", "utils"}))
    assert again.versions(["mine"]) == {"mine": "0.3"}
    elsewhere = r_survey()
    assert elsewhere and "mine" not in elsewhere.packages
