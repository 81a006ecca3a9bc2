"""A step that runs a program, as v1's users let Azure Batch do."""

from __future__ import annotations

import subprocess

import pytest

from stepwell import AzureBatchStep, BatchCompute, ComputeTarget, PipelineData
from stepwell.errors import UserErrorException


def test_a_program_of_the_source_directory_runs_on_an_account_of_batch_and_is_reused(project):
    account = BatchCompute.attach_configuration("group", "account")
    target = ComputeTarget.attach(project.workspace, "batch", account)
    project.write("copy.sh", '#!/bin/sh\ncat "$1" "$2" > "$3"\n')
    project.write("word.txt", "word ")
    table, out = PipelineData("table"), PipelineData("out")
    make = project.step("make.py", "open(args[0], 'w').write('t')", arguments=[table], outputs=[table])
    step = AzureBatchStep(
        "copy",
        create_pool=True,
        pool_id="pool",
        vm_size="STANDARD_D2",
        source_directory=project.source,
        executable="copy.sh",
        arguments=["word.txt", table, out],
        inputs=[table],
        outputs=[out],
        compute_target=target,
    )
    pipeline = project.pipeline(make, step)
    assert [one.happened for one in project.run(pipeline).steps] == ["ran", "ran"]
    assert project.workspace.path_of(pipeline()["copy"]["out"]).read_text() == "word t"
    project.write("copy.sh", '#!/bin/sh\ncat "$2" "$1" > "$3"\n')
    again = project.run(pipeline).steps[1]
    assert again.happened == "ran" and "copy.sh" in " ".join(again.why)


@pytest.mark.parametrize(
    ("code", "positive_fails", "expected"),
    [
        ("exit 3", True, 3),
        ("exit 3", False, 0),
        ("exit 0", True, 0),
        ("kill -9 $$", False, 137),
        ("kill -9 $$", True, 137),
    ],
)
def test_exit_codes_above_0_fail_unless_they_are_said_not_to(tmp_path, code, positive_fails, expected):
    step = AzureBatchStep(
        "a", executable="sh", arguments=["-c", code], is_positive_exit_code_failure=positive_fails, pool_id="p"
    )
    command = [argument[0].value for argument in step.define(step_id="a", producers={}, ids={}).arguments]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == expected


def test_a_program_of_the_directory_wins_over_one_in_path_and_its_arguments_stay_as_they_are(tmp_path):
    (tmp_path / "sort").write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    step = AzureBatchStep("a", executable="sort", arguments=["a b", "$HOME", "'"])
    command = [argument[0].value for argument in step.define(step_id="a", producers={}, ids={}).arguments]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "a b|$HOME|'|"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs a program"),
        ({"executable": "azurebatch.CMD"}, "is one of Windows"),
        ({"executable": "cmd"}, "is one of Windows"),
    ],
)
def test_what_can_not_run_is_refused(options, words):
    with pytest.raises(UserErrorException, match=words):
        AzureBatchStep("a", pool_id="p", **options)
