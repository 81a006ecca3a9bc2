"""`PythonScriptStep`: a step that runs a Python script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepwell.errors import UserErrorException
from stepwell.flows.steps.step import Step


class PythonScriptStep(Step):
    """Runs `script_name`, a path in the source directory, with the directory's snapshot as working directory.

    Its result is used again when script, imported local modules, `hash_paths`, arguments, parameters, inputs (by content),
    packages and `version` are as before. With `strict`, reading any other file is an error, not a warning.
    """

    def __init__(
        self,
        script_name: str,
        name: str | None = None,
        arguments: Sequence[Any] | None = None,
        compute_target: Any = None,
        runconfig: Any = None,
        runconfig_pipeline_params: Any = None,
        inputs: Sequence[Any] | None = None,
        outputs: Sequence[Any] | None = None,
        params: dict[str, Any] | None = None,
        source_directory: Any = None,
        allow_reuse: bool = True,
        version: str | None = None,
        hash_paths: Sequence[str] | None = None,
        **more: Any,
    ) -> None:
        if not isinstance(script_name, str) or not script_name:
            raise UserErrorException(
                "`script_name` must name a script", {"value": repr(script_name)}, "Pass its path as text."
            )
        super().__init__(
            script=script_name,
            name=name or script_name,
            arguments=arguments,
            compute_target=compute_target,
            runconfig=runconfig,
            inputs=inputs,
            outputs=outputs,
            params=params,
            source_directory=source_directory,
            allow_reuse=allow_reuse,
            version=version,
            hash_paths=hash_paths,
            **more,
        )
