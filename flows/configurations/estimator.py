"""`Estimator` and its like: v1's older way to name a script, its arguments, its packages and its processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, ClassVar, TypedDict, Unpack

from packaging.version import InvalidVersion, Version

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.base import Compute
from stepwell.blocks.environments.conda_dependencies import CondaDependencies
from stepwell.blocks.environments.environment import Environment
from stepwell.blocks.environments.requirements import Requirements, read_requirements, requirement
from stepwell.blocks.workspace.references import DataReference
from stepwell.errors import UserErrorException
from stepwell.flows.configurations.distribution import Gloo, Mpi, Nccl, ParameterServer, distribution_of
from stepwell.flows.configurations.run_configuration import RunConfiguration
from stepwell.flows.configurations.script_run_config import ScriptRunConfig

PathLike = str | PurePath


class FrameworkOptions(TypedDict, total=False):
    """The keyword arguments that every estimator takes."""

    vm_size: str | None
    vm_priority: str | None
    use_docker: bool
    custom_docker_base_image: str | None
    custom_docker_image: str | None
    image_registry_details: Any
    user_managed: bool
    conda_packages: Sequence[str] | None
    pip_packages: Sequence[str] | None
    conda_dependencies_file: PathLike | None
    conda_dependencies_file_path: PathLike | None
    pip_requirements_file: PathLike | None
    pip_requirements_file_path: PathLike | None
    environment_variables: Mapping[str, str | int | float | bool] | None
    environment_definition: Environment | None
    shm_size: str | None
    resume_from: Any
    max_run_duration_seconds: float | None
    _disable_validation: bool
    _show_lint_warnings: bool
    _show_package_warnings: bool


class EstimatorOptions(FrameworkOptions, total=False):
    """The keyword arguments of estimators whose script may run in several processes."""

    node_count: int
    process_count_per_node: int
    distributed_backend: str | None
    distributed_training: Any
    use_gpu: bool
    source_directory_data_store: Any


class TensorFlowOptions(EstimatorOptions, total=False):
    """The keyword arguments of `TensorFlow`."""

    worker_count: int
    parameter_server_count: int


@checked
class MMLBaseEstimator(ScriptRunConfig):
    """What estimators have in common: a script with its configuration.

    Args:
        source_directory: The folder whose snapshot is the working directory; None: the current directory.
        compute_target: A compute target or its name; None: `local`.
        estimator_config: The configuration to start from; None: `RunConfiguration()`.

    Attributes:
        inputs: Data that the script reads, beside those among its arguments.
        script_params: The script's arguments, by flag.
    """

    def __init__(
        self,
        source_directory: PathLike | None = None,
        compute_target: Compute | str | None = None,
        estimator_config: RunConfiguration | None = None,
    ) -> None:
        super().__init__(
            source_directory,
            run_config=estimator_config,
            compute_target=compute_target,
            max_run_duration_seconds=None,
        )
        self.inputs: list[Any] = []
        self.script_params: dict[str, Any] = {}

    @property
    def conda_dependencies(self) -> CondaDependencies:
        """The packages of its environment."""
        return self.environment.python.dependencies

    @property
    def data(self) -> list[Any]:
        """The data that it reads: its inputs, and references among its arguments."""
        named = [value for value in self.script_params.values() if isinstance(value, DataReference)]
        return [*self.inputs, *(value for value in named if value not in self.inputs)]

    def _take(
        self,
        entry_script: str | None,
        script_params: Mapping[str, Any] | None,
        inputs: Sequence[Any] | None,
        options: Mapping[str, Any],
        framework: str = "",
    ) -> None:
        if not entry_script:
            raise UserErrorException(
                f"{type(self).__name__} needs a script",
                hint="Pass its path as `entry_script=`, below `source_directory`.",
            )
        self.script, self.script_params = str(entry_script), dict(script_params or {})
        self.arguments = list(_arguments(self.script_params))
        self.inputs = list(inputs or ())
        config = self.run_config
        config.environment = self._environment(options, framework)
        variables = options.get("environment_variables") or {}
        config.environment_variables = {name: str(value) for name, value in variables.items()}
        if limit := options.get("max_run_duration_seconds"):
            config.max_run_duration_seconds = limit
        if size := options.get("shm_size"):
            config.environment.docker.shm_size = size
        self.distributed_job_config = distribution_of(
            options.get("distributed_training") or options.get("distributed_backend"),
            nodes=options.get("node_count", 1),
            processes=options.get("process_count_per_node", 1),
            workers=options.get("worker_count", 1),
            servers=options.get("parameter_server_count", 1),
        )
        config.node_count = options.get("node_count", 1)

    def _environment(self, options: Mapping[str, Any], framework: str) -> Environment:
        packages = [name for name in _PACKAGES if options.get(name)]
        given: Environment | None = options.get("environment_definition")
        if given is not None:
            if packages:
                raise UserErrorException(
                    f"`environment_definition` of {type(self).__name__} names all packages",
                    {"also given": ", ".join(packages)},
                    "Pass either the environment or the packages.",
                )
            return given
        environment, folder = Environment(), Path(self.source_directory or ".")
        if image := options.get("custom_docker_image") or options.get("custom_docker_base_image"):
            environment.docker.base_image = image
        if options.get("user_managed"):
            environment.python.user_managed_dependencies = True
            return environment
        file = options.get("conda_dependencies_file") or options.get("conda_dependencies_file_path")
        found = CondaDependencies(folder / file) if file else CondaDependencies()
        for package in options.get("conda_packages") or ():
            found.add_conda_package(package)
        file = options.get("pip_requirements_file") or options.get("pip_requirements_file_path")
        read = read_requirements([f"-r {file}"], folder.absolute()) if file else Requirements(())
        if read.index_url:
            found.set_pip_index_url(read.index_url)
        for line in (*read.lines, *(options.get("pip_packages") or ())):
            if line.startswith("-"):
                found.set_pip_option(line)
            else:
                found.add_pip_package(line)
        name, _, version = framework.partition("==")
        if framework and (version or packages) and name not in _names(found):
            found.add_pip_package(framework)
        environment.python.conda_dependencies = found
        return environment


_PACKAGES = (
    "conda_packages",
    "pip_packages",
    "conda_dependencies_file",
    "conda_dependencies_file_path",
    "pip_requirements_file",
    "pip_requirements_file_path",
)


def _arguments(params: Mapping[str, Any]) -> Sequence[Any]:
    """Return the arguments that flags and their values make; a flag with no text has no value."""
    return [word for flag, value in params.items() for word in ((flag,) if _is_bare(value) else (flag, value))]


def _is_bare(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value)


def _names(found: CondaDependencies) -> set[str]:
    pip = [line for line in found.requirements.lines if not line.startswith("-")]
    return {requirement(line).name for line in pip} | {text.partition("=")[0] for text in found.conda_packages}


@checked
class Estimator(MMLBaseEstimator):
    """A script with its arguments, packages and processes, as in Azure ML SDK v1: for `Experiment.submit` or an EstimatorStep.

    Without packages of its own it runs with those in use.

    Args:
        source_directory: The folder whose snapshot is the working directory.
        compute_target: A compute target or its name; None: `local`.
        entry_script: The script's path in the folder.
        script_params: The script's arguments, by flag; a flag with the text '' has no value.
        inputs: Data that the script reads, beside those in `script_params`.
        **options: `conda_packages`, `pip_packages`, `conda_dependencies_file` and `pip_requirements_file` (below the folder),
            `environment_definition`, `environment_variables`, `user_managed`, `custom_docker_image`, `shm_size`,
            `max_run_duration_seconds`; `node_count`, `process_count_per_node` and `distributed_training` or
            `distributed_backend` for several processes. v1's others, such as `vm_size` and `use_gpu`, are accepted, and not used.

    Raises:
        UserErrorException: There is no script, or the packages or processes are said in two ways.
    """

    def __init__(
        self,
        source_directory: PathLike,
        *,
        compute_target: Compute | str | None = None,
        entry_script: str | None = None,
        script_params: Mapping[str, Any] | None = None,
        inputs: Sequence[Any] | None = None,
        **options: Unpack[EstimatorOptions],
    ) -> None:
        super().__init__(source_directory, compute_target)
        self._take(entry_script, script_params, inputs, options)


class _Framework(MMLBaseEstimator):
    """An estimator that names the package of a framework, too."""

    _package: ClassVar[str] = ""
    _backends: ClassVar[tuple[str, ...]] = ()

    def _named(self, version: str | None, options: Mapping[str, Any]) -> str:
        """Return the framework's requirement; raise UserErrorException for what the framework can't have."""
        kind = type(self).__name__
        backend = options.get("distributed_training") or options.get("distributed_backend")
        word = _WORDS.get(type(backend), backend)
        if isinstance(word, str) and word and word in _WORDS.values() and word not in self._backends:
            raise UserErrorException(
                f"{kind} can't have its processes find one another by {word!r}",
                {"backends": ", ".join(self._backends)},
                "Choose one of these.",
            )
        counts = [name for name in ("worker_count", "parameter_server_count") if options.get(name, 1) != 1]
        if counts and word != "ps":
            raise UserErrorException(
                f"`{counts[0]}` counts with parameter servers alone",
                {"backend": repr(word)},
                "Pass `distributed_backend='ps'`.",
            )
        if version is None:
            return self._package
        try:
            return f"{self._package}=={Version(version)}"
        except InvalidVersion:
            raise UserErrorException(
                f"`framework_version` of {kind} must be a version of {self._package}",
                {"value": repr(version)},
                "Pass one such as '1.13', or leave it out for the one in use.",
            ) from None


_WORDS: dict[type, str] = {Mpi: "mpi", ParameterServer: "ps", Gloo: "gloo", Nccl: "nccl"}
"""The words for v1's backends."""


@checked
class SKLearn(_Framework):
    """An Estimator for scikit-learn, as in Azure ML SDK v1.

    Args:
        source_directory: The folder whose snapshot is the working directory.
        compute_target: A compute target or its name; None: `local`.
        entry_script: The script's path in the folder.
        script_params: The script's arguments, by flag; a flag with the text '' has no value.
        inputs: Data that the script reads, beside those in `script_params`.
        framework_version: The version of scikit-learn; None: the one in use, or with packages of its own the newest.
        **options: As of `Estimator`, but for several processes.

    Raises:
        UserErrorException: As of `Estimator`, or `framework_version` is no version, or the framework has no such backend.
    """

    _package: ClassVar[str] = "scikit-learn"

    def __init__(
        self,
        source_directory: PathLike,
        *,
        compute_target: Compute | str | None = None,
        entry_script: str | None = None,
        script_params: Mapping[str, Any] | None = None,
        inputs: Sequence[Any] | None = None,
        framework_version: str | None = None,
        **options: Unpack[FrameworkOptions],
    ) -> None:
        super().__init__(source_directory, compute_target)
        self._take(entry_script, script_params, inputs, options, self._named(framework_version, options))


@checked
class PyTorch(_Framework):
    """An Estimator for PyTorch, as in Azure ML SDK v1.

    Args:
        source_directory: The folder whose snapshot is the working directory.
        compute_target: A compute target or its name; None: `local`.
        entry_script: The script's path in the folder.
        script_params: The script's arguments, by flag; a flag with the text '' has no value.
        inputs: Data that the script reads, beside those in `script_params`.
        framework_version: The version of torch; None: the one in use, or with packages of its own the newest.
        **options: As of `Estimator`.

    Raises:
        UserErrorException: As of `Estimator`, or `framework_version` is no version, or the framework has no such backend.
    """

    _package: ClassVar[str] = "torch"
    _backends: ClassVar[tuple[str, ...]] = ("mpi", "gloo", "nccl")

    def __init__(
        self,
        source_directory: PathLike,
        *,
        compute_target: Compute | str | None = None,
        entry_script: str | None = None,
        script_params: Mapping[str, Any] | None = None,
        inputs: Sequence[Any] | None = None,
        framework_version: str | None = None,
        **options: Unpack[EstimatorOptions],
    ) -> None:
        super().__init__(source_directory, compute_target)
        self._take(entry_script, script_params, inputs, options, self._named(framework_version, options))


@checked
class Chainer(PyTorch):
    """An Estimator for Chainer, as in Azure ML SDK v1.

    Its arguments are those of `PyTorch`; `framework_version` is that of chainer.
    """

    _package: ClassVar[str] = "chainer"
    _backends: ClassVar[tuple[str, ...]] = ("mpi",)


@checked
class TensorFlow(_Framework):
    """An Estimator for TensorFlow, as in Azure ML SDK v1.

    Args:
        source_directory: The folder whose snapshot is the working directory.
        compute_target: A compute target or its name; None: `local`.
        entry_script: The script's path in the folder.
        script_params: The script's arguments, by flag; a flag with the text '' has no value.
        inputs: Data that the script reads, beside those in `script_params`.
        framework_version: The version of tensorflow; None: the one in use, or with packages of its own the newest.
        **options: As of `Estimator`, with `worker_count` and `parameter_server_count` for the backend `ps`.

    Raises:
        UserErrorException: As of `Estimator`, or `framework_version` is no version, or the framework has no such backend.
    """

    _package: ClassVar[str] = "tensorflow"
    _backends: ClassVar[tuple[str, ...]] = ("mpi", "ps")

    def __init__(
        self,
        source_directory: PathLike,
        *,
        compute_target: Compute | str | None = None,
        entry_script: str | None = None,
        script_params: Mapping[str, Any] | None = None,
        inputs: Sequence[Any] | None = None,
        framework_version: str | None = None,
        **options: Unpack[TensorFlowOptions],
    ) -> None:
        super().__init__(source_directory, compute_target)
        self._take(entry_script, script_params, inputs, options, self._named(framework_version, options))
