"""What is advised to those whose script misses a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepwell.blocks.source.missing_files import missing_file_hint, missing_module_hint

OUT = Path("/scratch/outputs/model")


@pytest.fixture
def project(tmp_path):
    """A project whose source directory lacks what stands beside it."""
    for name in (
        "steps/train.py",
        "helpers.py",
        "tools/__init__.py",
        "data/flats.csv",
        "steps/left_out.csv",
        "snapshot/train.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    return tmp_path


def hint(project, line):
    return missing_file_hint(
        f"Traceback\n{line}\n", str(project / "steps"), {"train.py"}.__contains__, {"model": {OUT}}
    )


@pytest.mark.parametrize(
    "line",
    [
        "FileNotFoundError: [Errno 2] No such file or directory: '{}'",
        "cat: {}: No such file or directory",
        'cannot open file "{}": No such file or directory',
        "OSError: {!r} not found.",
    ],
)
@pytest.mark.parametrize("name", ["../data/flats.csv", "data/flats.csv"])
def test_a_file_beside_the_source_directory_is_named(project, line, name):
    told = hint(project, line.format(name))
    assert told.startswith(f"Move {project / 'data/flats.csv'} into the step's source_directory, {project / 'steps'}")


@pytest.mark.parametrize("name", ["helpers", "tools"])
def test_so_is_a_module(project, name):
    told = hint(project, f"ModuleNotFoundError: No module named '{name}.parts'")
    assert told.startswith(f"Move {project / name}") and f"source_directory={str(project)!r}" in told
    assert missing_module_hint(name, str(project / "steps")) == told


def test_a_file_that_no_snapshot_has_is_ignored(project):
    told = hint(project, "FileNotFoundError: [Errno 2] No such file or directory: 'left_out.csv'")
    assert told.startswith("Let the ignore file") and "'left_out.csv'" in told


@pytest.mark.parametrize(
    "line",
    [
        f"FileNotFoundError: [Errno 2] No such file or directory: '{OUT}/weights.bin'",
        f"OSError: Cannot save file into a non-existent directory: '{OUT}'",
        f"RuntimeError: Parent directory {OUT} does not exist.",
        f"sh: 1: cannot create {OUT}/a: No such file or directory",
    ],
)
def test_a_folder_of_an_output_is_the_scripts_to_make(project, line):
    assert hint(project, line).startswith("Let the script make the folder first") and "'model'" in hint(project, line)


@pytest.mark.parametrize(
    "line",
    [
        "FileNotFoundError: [Errno 2] No such file or directory: 'nowhere.csv'",
        "FileNotFoundError: [Errno 2] No such file or directory: '/nowhere.csv'",
        "FileNotFoundError: [Errno 2] No such file or directory: ''",
        "ModuleNotFoundError: No module named 'nowhere'",
        f"PermissionError: [Errno 13] Permission denied: '{OUT}'",
        "ValueError: 'data/flats.csv' is broken",
        "KeyError: \"['price'] not found in axis\"",
    ],
)
def test_about_others_nothing_is_said(project, line):
    assert hint(project, line) == ""


def test_of_a_step_without_source_nothing_is_said(tmp_path):
    assert missing_file_hint("x: No such file or directory: 'data.csv'", "", None, {}) == ""
