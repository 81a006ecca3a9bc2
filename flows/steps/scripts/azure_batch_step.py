"""`AzureBatchStep`: a step that runs a program, as v1's users let Azure Batch do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.flows.steps.argument_types import Argument, CommandOptions, Input, Output, Target
from stepwell.flows.steps.step import Step

_RUN = (
    'if [ -f "$0" ]; then chmod u+x "$0" && case "$0" in */*) program=$0;; *) program=./$0;; esac; else program=$0; fi; '
    '"$program" "$@"'
)
"""A program of the source directory wins over one of its name in PATH, and need not be marked as one."""

_LENIENT = '; code=$?; [ "$code" -gt 128 ] && exit "$code"; exit 0'
"""Lets a program that says that it failed succeed, but not one that was ended by a signal."""

_OF_WINDOWS = (".exe", ".cmd", ".bat", ".ps1", ".com")


@checked
class AzureBatchStep(Step):
    """A step that runs a program with its source directory's snapshot as working directory, on any compute target.

    It has the arguments of Azure ML SDK v1; those on pools and machines are accepted, and mean nothing here. Its result
    depends on every file of the source directory, or with `hash_paths` on these and the files that the arguments name.

    Args:
        name: The step's name.
        create_pool: Accepted for v1's sake; not used.
        pool_id: Accepted for v1's sake; not used.
        delete_batch_job_after_finish: Accepted for v1's sake; not used.
        delete_batch_pool_after_finish: Accepted for v1's sake; not used.
        is_positive_exit_code_failure: Whether an exit code above 0 is a failure; what a signal ends always is one.
        vm_image_urn: Accepted for v1's sake; not used.
        run_task_as_admin: Accepted for v1's sake; not used.
        target_compute_nodes: Accepted for v1's sake; not used: the program runs once.
        vm_size: Accepted for v1's sake; not used.
        source_directory: The folder whose snapshot is the working directory; None: an empty one.
        executable: The program: a file of the source directory, or a name that is found in PATH.
        arguments: The program's arguments, as of every step.
        inputs: What it reads, as of every step.
        outputs: What it writes, as of every step.
        allow_reuse: Whether an earlier result may be used again.
        compute_target: A compute target, its name, or `(name, type)` as in v1; None: `local`.
        version: Any text; another text means another result.
        **more: Further keyword arguments of `Step`.

    Raises:
        UserErrorException: There is no executable, or it is one of Windows.
    """

    def __init__(
        self,
        name: str,
        create_pool: bool = False,
        pool_id: str | None = None,
        delete_batch_job_after_finish: bool = True,
        delete_batch_pool_after_finish: bool = False,
        is_positive_exit_code_failure: bool = True,
        vm_image_urn: str = "urn:MicrosoftWindowsServer:WindowsServer:2012-R2-Datacenter",
        run_task_as_admin: bool = False,
        target_compute_nodes: int = 1,
        vm_size: str = "standard_d1_v2",
        source_directory: str | PurePath | None = None,
        executable: str | None = None,
        arguments: Sequence[Argument] | None = None,
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[Output] | None = None,
        allow_reuse: bool = True,
        compute_target: Target | None = None,
        version: str | float | None = None,
        **more: Unpack[CommandOptions],
    ) -> None:
        if not executable:
            raise UserErrorException(
                f"The step {name!r} needs a program",
                hint="Pass `executable=`: a file of `source_directory`, or a name.",
            )
        if executable.lower().endswith(_OF_WINDOWS) or executable.lower() in ("cmd", "powershell"):
            raise UserErrorException(
                f"The program {executable!r} of step {name!r} is one of Windows, which does not run here",
                hint="Name a program for this system, such as a shell script with the same commands.",
            )
        self._needs_source = source_directory is not None  # type: ignore[misc]
        super().__init__(
            name=name,
            arguments=[
                *("sh", "-c", _RUN if is_positive_exit_code_failure else _RUN + _LENIENT),
                *(executable, *(arguments or ())),
            ],
            compute_target=compute_target,
            inputs=inputs,
            outputs=outputs,
            source_directory=source_directory,
            allow_reuse=allow_reuse,
            version=version,
            **more,
        )
