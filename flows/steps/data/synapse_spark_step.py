"""`SynapseSparkStep`: a Python script on Spark, with v1's settings of a Synapse pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.flows.configurations.distribution import counted
from stepwell.flows.steps.argument_types import Argument, Input, Output, Plain, Requirements, SparkOptions, Target
from stepwell.flows.steps.data.spark_settings import EXTRA, SCRIPT_MODULES, check_memory, texts, with_engine
from stepwell.flows.steps.driver_options import DriverOptions
from stepwell.flows.steps.step import Step


@checked
class SynapseSparkStep(Step):
    """A step that runs a Python script by Spark, as `spark-submit` does, with its source directory's snapshot as working directory.

    Its arguments hold inputs and outputs, which become paths: datasets `as_hdfs()`, and HDFSOutputDatasetConfig, whose folder
    the script's `DataFrame.write` makes. The sizes decide no result, and nothing but memory counts on this machine.

    Args:
        file: The script's path in the source directory.
        source_directory: The folder whose snapshot is the working directory.
        compute_target: A SynapseCompute or SparkCompute, or its name; `local` is Spark on this machine.
        driver_memory: The memory of Spark's driver, such as `7g`.
        driver_cores: The processors of the driver.
        executor_memory: The memory of an executor.
        executor_cores: The processors of an executor.
        num_executors: How many executors there are.
        name: The step's name; None: `file`.
        app_name: The application's name in Spark; None: `name`.
        environment: An Environment, or a list of requirements for pip; None: the packages in use.
        arguments: The script's arguments: texts and numbers, parameters, and inputs and outputs, which become paths.
        inputs: What it reads.
        outputs: What it writes.
        conf: Spark's settings, by name.
        py_files: Python files and archives of the source directory that its executors import.
        jars: Jars of the source directory, or URLs.
        files: Files of the source directory that its executors find in their working directory.
        allow_reuse: Whether an earlier result may be used again.
        version: Any text; another text means another result.
        hash_paths: Files, folders, and patterns as in `.gitignore`, of the source directory whose content counts too.
        **more: Further keyword arguments of `Step`.

    Raises:
        UserErrorException: `file` is empty, there is no compute target, or an argument, a size, input or output can't be
            used.
    """

    def __init__(
        self,
        file: str,
        source_directory: str | PurePath,
        compute_target: Target | None = None,
        driver_memory: str | None = None,
        driver_cores: int | None = None,
        executor_memory: str | None = None,
        executor_cores: int | None = None,
        num_executors: int | None = None,
        name: str | None = None,
        app_name: str | None = None,
        environment: Requirements | None = None,
        arguments: Sequence[Argument] | None = None,
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[Output] | None = None,
        conf: Mapping[str, Plain] | None = None,
        py_files: Sequence[str] | None = None,
        jars: Sequence[str] | None = None,
        files: Sequence[str] | None = None,
        allow_reuse: bool = True,
        version: str | float | None = None,
        hash_paths: Sequence[str | PurePath] | None = None,
        **more: Unpack[SparkOptions],
    ) -> None:
        if not file:
            raise UserErrorException("`file` must name a script", {"value": "''"}, "Pass its path as text.")
        if compute_target is None and more.get("target") is None:
            raise UserErrorException(
                f"The step {name or file!r} needs a `compute_target`",
                hint="Pass a SynapseCompute, a SparkCompute, or 'local' for Spark on this machine.",
            )
        for size, memory in (("driver_memory", driver_memory), ("executor_memory", executor_memory)):
            check_memory(size, memory)
        for count, number in (
            ("driver_cores", driver_cores),
            ("executor_cores", executor_cores),
            ("num_executors", num_executors),
        ):
            if number is not None:
                counted(count, number)
        folder = Path(source_directory)
        needed = [path for path in (*(py_files or ()), *(jars or ()), *(files or ())) if (folder / path).is_file()]
        super().__init__(
            script=file,
            name=name or file,
            driver=DriverOptions(
                "spark_script",
                {
                    "spark_conf": texts(conf),
                    "py_files": list(py_files) if py_files else None,
                    "jars": list(jars) if jars else None,
                    "files": list(files) if files else None,
                },
                modules=SCRIPT_MODULES,
                extra=EXTRA,
                hints={
                    "app_name": app_name,
                    "driver_memory": driver_memory,
                    "driver_cores": driver_cores,
                    "executor_memory": executor_memory,
                    "executor_cores": executor_cores,
                    "num_executors": num_executors,
                },
            ),
            arguments=arguments,
            compute_target=compute_target,
            inputs=inputs,
            outputs=outputs,
            source_directory=source_directory,
            allow_reuse=allow_reuse,
            version=version,
            hash_paths=[*(hash_paths or ()), *needed],
            environment=environment,
            **more,
        )
        self._settings["environment"] = with_engine(self._settings["environment"], SCRIPT_MODULES)
