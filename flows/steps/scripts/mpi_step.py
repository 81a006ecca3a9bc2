"""`MpiStep`: a step that runs a Python script in several processes that find one another by MPI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.environments.environment import Environment
from stepwell.errors import UserErrorException
from stepwell.flows.configurations.distribution import MpiConfiguration
from stepwell.flows.configurations.estimator import Estimator
from stepwell.flows.parameters.pipeline_parameter import PipelineParameter
from stepwell.flows.steps.argument_types import Argument, Input, Output, Params, StepOptions, Target
from stepwell.flows.steps.scripts.distribution import driver_of
from stepwell.flows.steps.settings import refuse_notebook
from stepwell.flows.steps.step import Step


class MpiOptions(StepOptions, total=False):
    """The keyword arguments of an `MpiStep` beside its own."""

    params: Params | None
    use_gpu: bool
    use_docker: bool
    custom_docker_image: str | None
    image_registry_details: Any
    user_managed: bool
    conda_packages: Sequence[str] | None
    pip_packages: Sequence[str] | None
    pip_requirements_file_path: str | PurePath | None
    environment_definition: Environment | None


_PACKAGES = (
    "custom_docker_image",
    "user_managed",
    "conda_packages",
    "pip_packages",
    "pip_requirements_file_path",
    "environment_definition",
)


@checked
class MpiStep(Step):
    """A step that runs a Python script in several processes, started by MPI on the machine that the step runs on.

    There are `node_count` times `process_count_per_node`; each finds its rank in Open MPI's variables, or by mpi4py. The step
    fails when the first of them does. Everything else is as of a PythonScriptStep.

    Args:
        name: The step's name; None: that of the script.
        source_directory: The folder whose snapshot is the working directory; None: as of every step.
        script_name: The script's path in the source directory.
        arguments: The script's arguments, as of every step.
        compute_target: A compute target, its name, or `(name, type)` as in v1; None: `local`.
        node_count: How many nodes are played; a pipeline parameter may say it.
        process_count_per_node: How many processes a node has; a pipeline parameter may say it.
        inputs: What it reads, as of every step.
        outputs: What it writes, as of every step.
        allow_reuse: Whether an earlier result may be used again.
        version: Any text; another text means another result.
        hash_paths: Files and folders of the source directory whose content counts too.
        **more: Further keyword arguments of `Step`, and v1's `params`, `conda_packages`, `pip_packages`,
            `pip_requirements_file_path`, `environment_definition`, `custom_docker_image` and `user_managed`; `use_gpu`,
            `use_docker` and `image_registry_details` are accepted, and not used.

    Raises:
        UserErrorException: There is no script, or a count is less than 1.
    """

    def __init__(
        self,
        name: str | None = None,
        source_directory: str | PurePath | None = None,
        script_name: str | None = None,
        arguments: Sequence[Argument] | None = None,
        compute_target: Target | None = None,
        node_count: int | PipelineParameter | None = None,
        process_count_per_node: int | PipelineParameter | None = None,
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[Output] | None = None,
        allow_reuse: bool = True,
        version: str | float | None = None,
        hash_paths: Sequence[str | PurePath] | None = None,
        **more: Unpack[MpiOptions],
    ) -> None:
        if not script_name:
            raise UserErrorException("`script_name` must name a script", {"value": "''"}, "Pass its path as text.")
        refuse_notebook(script_name)
        options: dict[str, Any] = {**more}
        packages = {key: value for key in _PACKAGES if (value := options.pop(key, None)) is not None}
        for unused in ("use_gpu", "use_docker", "image_registry_details"):
            options.pop(unused, None)
        config = Estimator(source_directory or ".", entry_script=script_name, **packages)
        config.distributed_job_config = MpiConfiguration(
            1 if process_count_per_node is None else process_count_per_node, 1 if node_count is None else node_count
        )
        super().__init__(
            name=name or script_name,
            script=script_name,
            arguments=arguments,
            compute_target=compute_target,
            runconfig=config if packages else None,
            inputs=inputs,
            outputs=outputs,
            source_directory=source_directory,
            allow_reuse=allow_reuse,
            version=version,
            hash_paths=hash_paths,
            driver=driver_of(config),
            **options,
        )
