"""`DatabricksStep`: a notebook, a Python script or a jar on Spark, of a Databricks workspace or of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any, Literal, Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.spark.databricks_folder import databricks_folder, staged
from stepwell.drivers.spark.places import local_path, notebook_in, notebook_places, others_of
from stepwell.errors import UserErrorException
from stepwell.flows.configurations.distribution import counted
from stepwell.flows.steps.argument_types import (
    Argument,
    Configuration,
    EngineOptions,
    Input,
    Output,
    Plain,
    Target,
    Value,
)
from stepwell.flows.steps.data.databricks_libraries import (
    EggLibrary,
    JarLibrary,
    MavenLibrary,
    PyPiLibrary,
    RCranLibrary,
    plain_libraries,
)
from stepwell.flows.steps.data.spark_settings import EXTRA, NOTEBOOK_MODULES, SCRIPT_MODULES, texts, with_engine
from stepwell.flows.steps.driver_options import DriverOptions
from stepwell.flows.steps.ports import as_input, name_of, port_of
from stepwell.flows.steps.step import Producers, Step
from stepwell.model.definitions import Driver, Language, StepDefinition
from stepwell.model.digests import bytes_digest

_SOURCES = ("notebook_path", "python_script_path", "python_script_name", "main_class_name")
_DRIVERS = {"notebook_path": "spark_notebook", "main_class_name": "spark_jar"}
_PARAMETERS = {
    "notebook_params": ("notebook_path",),
    "python_script_params": ("python_script_path", "python_script_name"),
    "jar_params": ("main_class_name",),
}
_NEW_CLUSTER = ("spark_version", "node_type", "instance_pool_id", "num_workers", "min_workers", "max_workers")
_NEW_CLUSTER_MORE = ("spark_env_variables", "spark_conf", "init_scripts", "cluster_log_dbfs_path")
_LANGUAGES: Mapping[str, Language] = {".ipynb": "notebook", ".py": "python"}


@checked
class DatabricksStep(Step):
    """A step that runs a notebook, a Python script or a jar on Spark, as its compute target says: in a Databricks workspace, or here.

    A script gets its inputs and outputs as arguments `-<name> <path>` after its own, and a notebook by
    `dbutils.widgets.get("<name>")`; both have `AZUREML_RUN_ID` and the like, and `Run.get_context()`. The content of the
    notebook, script or jar is part of what the result depends on.

    A path of a notebook is looked for in the source directory, on this machine, and in `workspace/` of the folder that
    `STEPWELL_DATABRICKS_FOLDER` names, with `.ipynb`, `.py` or `.sql` at its end or without.

    What compute targets read from its driver (`spark_notebook`, `spark_script` or `spark_jar`), in the settings: `notebook_path`,
    `python_script_path`, `python_script_name` or `main_class_name`; `param.<name>`, `input.<name>` and `output.<name>`;
    `spark_version`, `spark_conf`, `spark_env_variables`, `init_scripts` and `libraries` (JSON, as in Databricks' REST
    interface); `contents` (JSON: digests of what stands in `dbfs:/` here). In the hints, which decide no result:
    `existing_cluster_id`, `node_type`, `instance_pool_id`, `num_workers`, `min_workers`, `max_workers`,
    `cluster_log_dbfs_path`, `run_name`, `permit_cluster_restart`; `folder`, which stands in for the workspace. Parameters of scripts and jars are its arguments.

    Args:
        name: The step's name.
        inputs: What it reads: DataReference, datasets, PipelineData, OutputFileDatasetConfig, or what their `as_…` methods
            return, or `(PipelineParameter, DataPathComputeBinding)`.
        outputs: What it writes: PipelineData, OutputFileDatasetConfig or DataReference.
        existing_cluster_id: The cluster to run on, in place of a new one.
        spark_version: The runtime of a new cluster; None: the target's default.
        node_type: The kind of machine of a new cluster; None: the target's default.
        instance_pool_id: The pool of machines that a new cluster takes, in place of `node_type`.
        num_workers: How many workers a new cluster has.
        min_workers: The fewest workers of a cluster that grows.
        max_workers: The most workers of a cluster that grows.
        spark_env_variables: Variables of the environment of Spark.
        spark_conf: Spark's settings, by name.
        init_scripts: Scripts that a new cluster's machines run first, by path.
        cluster_log_dbfs_path: Where a new cluster's logs go.
        notebook_path: The notebook's path in the Databricks workspace, or in the source directory.
        notebook_params: Values by name, which the notebook gets by `dbutils.widgets.get`.
        python_script_path: The script's path at `dbfs:/`.
        python_script_params: The script's arguments.
        main_class_name: The class of a jar of `jar_libraries` whose `main` runs.
        jar_params: Its arguments.
        python_script_name: The script's path in `source_directory`.
        source_directory: The folder whose snapshot is the working directory.
        hash_paths: Files, folders, and patterns as in `.gitignore`, of the source directory whose content counts too.
        run_name: The name of the run in Databricks.
        timeout_seconds: The limit of one attempt, in seconds; None: no limit.
        runconfig: A RunConfiguration; libraries may be in its `environment.databricks`.
        maven_libraries: Libraries of Maven.
        pypi_libraries: Packages of Python.
        egg_libraries: Eggs or wheels.
        jar_libraries: Jars.
        rcran_libraries: Packages of R.
        compute_target: A DatabricksCompute or SparkCompute, or its name; `local` is Spark on this machine.
        allow_reuse: Whether an earlier result may be used again.
        version: Any text; another text means another result.
        permit_cluster_restart: Whether an existing cluster that doesn't run may be started.
        **more: Further keyword arguments of `Step`.

    Raises:
        UserErrorException: There is not exactly one thing to run, two arguments exclude each other, or one can't be used.
    """

    def __init__(
        self,
        name: str,
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[Output] | None = None,
        existing_cluster_id: str | None = None,
        spark_version: str | None = None,
        node_type: str | None = None,
        instance_pool_id: str | None = None,
        num_workers: int | None = None,
        min_workers: int | None = None,
        max_workers: int | None = None,
        spark_env_variables: Mapping[str, Plain] | None = None,
        spark_conf: Mapping[str, Plain] | None = None,
        init_scripts: Sequence[str] | None = None,
        cluster_log_dbfs_path: str | None = None,
        notebook_path: str | None = None,
        notebook_params: Mapping[str, Value] | None = None,
        python_script_path: str | None = None,
        python_script_params: Sequence[Argument] | None = None,
        main_class_name: str | None = None,
        jar_params: Sequence[Argument] | None = None,
        python_script_name: str | None = None,
        source_directory: str | PurePath | None = None,
        hash_paths: Sequence[str | PurePath] | None = None,
        run_name: str | None = None,
        timeout_seconds: float | None = None,
        runconfig: Configuration | None = None,
        maven_libraries: Sequence[MavenLibrary] | None = None,
        pypi_libraries: Sequence[PyPiLibrary] | None = None,
        egg_libraries: Sequence[EggLibrary] | None = None,
        jar_libraries: Sequence[JarLibrary] | None = None,
        rcran_libraries: Sequence[RCranLibrary] | None = None,
        compute_target: Target | None = None,
        allow_reuse: bool = True,
        version: str | float | None = None,
        permit_cluster_restart: bool | None = None,
        **more: Unpack[EngineOptions],
    ) -> None:
        given = dict(locals())
        source = _one_of(name, given)
        _refuse_contradictions(name, source, given)
        if compute_target is None and more.get("target") is None and getattr(runconfig, "target", None) is None:
            raise UserErrorException(
                f"The step {name!r} needs a `compute_target`",
                hint="Pass a DatabricksCompute, a SparkCompute, or 'local' for Spark on this machine.",
            )
        self._libraries = plain_libraries(_libraries(name, given))
        self._what, self._path = source, str(given[source])
        chosen = compute_target or more.get("target")
        self._folder = str(getattr(chosen, "folder", "") or "")
        self._elsewhere = bool(getattr(chosen, "is_remote", False))
        modules = NOTEBOOK_MODULES if source == "notebook_path" else SCRIPT_MODULES
        driver = DriverOptions(
            _DRIVERS.get(source, "spark_script"),
            {
                source: self._path,
                **{f"param.{key}": value for key, value in (notebook_params or {}).items()},
                **{f"input.{name_of(item)}": item for item in map(as_input, inputs or ())},
                **{f"output.{port_of(item).name}": item for item in outputs or ()},
                "spark_version": spark_version,
                "spark_conf": texts(spark_conf),
                "spark_env_variables": texts(spark_env_variables),
                "init_scripts": list(init_scripts) if init_scripts else None,
                "libraries": self._libraries or None,
            },
            modules=modules,
            extra=EXTRA,
            hints={
                "folder": str(databricks_folder(self._folder)),
                "existing_cluster_id": existing_cluster_id,
                "node_type": node_type,
                "instance_pool_id": instance_pool_id,
                "num_workers": num_workers,
                "min_workers": min_workers,
                "max_workers": max_workers,
                "cluster_log_dbfs_path": cluster_log_dbfs_path,
                "run_name": run_name,
                "permit_cluster_restart": permit_cluster_restart,
            },
        )
        super().__init__(
            name=name,
            driver=driver,
            arguments=python_script_params or jar_params,
            compute_target=compute_target,
            runconfig=runconfig,
            inputs=inputs,
            outputs=outputs,
            source_directory=source_directory,
            allow_reuse=allow_reuse,
            version=version,
            hash_paths=hash_paths,
            timeout_seconds=timeout_seconds,
            **more,
        )
        self._settings["environment"] = with_engine(self._settings["environment"], modules)

    def define(
        self, *, step_id: str, producers: Producers, ids: Mapping[Step, str], source_directory: Path | None = None
    ) -> StepDefinition:
        """Return the step as plain values, with what it runs found; see `Step.define`.

        Args:
            step_id: The step's id in its pipeline.
            producers: The step's id and the output's name for each object that a step of the pipeline writes.
            ids: The ids of the pipeline's steps.
            source_directory: The source directory of a step that names none.

        Returns:
            The definition.

        Raises:
            UserErrorException: The notebook is in a language that is not run here.
        """
        defined = super().define(step_id=step_id, producers=producers, ids=ids, source_directory=source_directory)
        assert defined.driver is not None
        own = self.source_directory or source_directory
        usual = own or self._made_in or Path.cwd()
        folder, script = self._found(usual)
        used = folder if script else own if self._what != "notebook_path" else None
        return replace(
            defined,
            script=script or None,
            source_directory=str(used.absolute()) if used else "",
            hash_paths=(*defined.hash_paths, *self._files_in(used), *self._other_notebooks(folder, script)),
            driver=self._with_contents(
                replace(defined.driver, language=_LANGUAGES.get(os.path.splitext(script)[1], "text"))
            ),
        )

    # What runs --------------------------------------------------------------------------------------------------------

    def _found(self, usual: Path) -> tuple[Path, str]:
        """Return the folder where the notebook or script is, and its path in it, '' if it isn't on this machine."""
        folder = databricks_folder(self._folder)
        if self._what == "python_script_name":
            return usual, self._path
        if self._what == "python_script_path":
            path = Path(local_path(self._path, str(folder)))
            if not path.is_absolute():
                return usual, self._path if (usual / path).is_file() else ""
            return (staged(path, folder), path.name) if path.is_file() else (usual, "")
        if self._what == "notebook_path" and not (self._elsewhere and os.path.isabs(self._path)):
            for place, name in notebook_places(self._path, str(usual.absolute()), str(folder)):
                if script := notebook_in(place, name):
                    return Path(place), script
        return usual, ""

    def _files_in(self, folder: Path | None) -> tuple[str, ...]:
        """Return the libraries that are files of the source directory."""
        return tuple(path for path in self._files() if folder and not os.path.isabs(path) and (folder / path).is_file())

    def _other_notebooks(self, folder: Path, script: str) -> list[str]:
        """Return the notebooks that the notebook runs, whose content counts as well."""
        return others_of(str(folder), script) if script and self._what == "notebook_path" else []

    def _with_contents(self, driver: Driver) -> Driver:
        """Return the driver, told the digests of the libraries that are files in `dbfs:/` of this machine."""
        folder, found = databricks_folder(self._folder), dict[str, str]()
        for path in self._files():
            place = Path(local_path(path, str(folder)))
            if place.is_absolute() and place.is_file():
                found[path] = bytes_digest(place.read_bytes())
        if not found:
            return driver
        told = DriverOptions("", {"contents": found}).definition(self._argument).settings
        return replace(driver, settings={**driver.settings, **told})

    def _files(self) -> list[str]:
        return [str(path) for library in self._libraries for kind in ("jar", "egg") if (path := library.get(kind))]


def _one_of(
    name: str, given: Mapping[str, Any]
) -> Literal["notebook_path", "python_script_path", "python_script_name", "main_class_name"]:
    found = [source for source in _SOURCES if given[source]]
    if len(found) != 1:
        raise UserErrorException(
            f"The step {name!r} must be given exactly one of {', '.join(_SOURCES[:-1])} and {_SOURCES[-1]}",
            {"given": ", ".join(found) or "none"},
            "Pass the one that it runs.",
        )
    return found[0]  # type: ignore[return-value]


def _refuse_contradictions(name: str, source: str, given: Mapping[str, Any]) -> None:
    for parameters, owners in _PARAMETERS.items():
        if given[parameters] is not None and source not in owners:
            raise _contradiction(name, parameters, source, f"Pass it with {' or '.join(owners)}.")
    if source == "python_script_name" and given["source_directory"] is None:
        raise UserErrorException(
            f"The step {name!r} needs a `source_directory` for its `python_script_name`",
            hint="Pass the script's folder.",
        )
    new = [one for one in (*_NEW_CLUSTER, *_NEW_CLUSTER_MORE) if given[one] is not None]
    if given["existing_cluster_id"] is not None and new:
        raise _contradiction(
            name, new[0], "existing_cluster_id", "Leave one of them out: the cluster has its settings."
        )
    if given["permit_cluster_restart"] is not None and new:
        raise _contradiction(
            name, "permit_cluster_restart", new[0], "Leave one of them out: a new cluster is started anyway."
        )
    if given["node_type"] is not None and given["instance_pool_id"] is not None:
        raise _contradiction(name, "node_type", "instance_pool_id", "Leave one of them out: the pool has its machines.")
    _refuse_numbers(name, given)


def _refuse_numbers(name: str, given: Mapping[str, Any]) -> None:
    """Raise UserErrorException for numbers of workers that no cluster can have."""
    for count in ("num_workers", "min_workers", "max_workers"):
        if given[count] is not None:
            counted(count, given[count], lowest=0)
    scaled = [one for one in ("min_workers", "max_workers") if given[one] is not None]
    if given["num_workers"] is not None and scaled:
        raise _contradiction(name, "num_workers", scaled[0], "Pass `num_workers`, or `min_workers` and `max_workers`.")
    if len(scaled) == 1:
        raise UserErrorException(
            f"The step {name!r} needs both `min_workers` and `max_workers`", {"given": scaled[0]}, "Pass both."
        )
    if scaled and given["min_workers"] > given["max_workers"]:
        raise UserErrorException(
            f"`min_workers` of the step {name!r} is more than `max_workers`",
            {"min_workers": given["min_workers"], "max_workers": given["max_workers"]},
            "Correct one of them.",
        )


def _contradiction(name: str, one: str, other: str, hint: str) -> UserErrorException:
    return UserErrorException(f"The step {name!r} can't have both `{one}` and `{other}`", hint=hint)


def _libraries(name: str, given: Mapping[str, Any]) -> Iterable[Any]:
    kinds = ("maven_libraries", "pypi_libraries", "egg_libraries", "jar_libraries", "rcran_libraries")
    section = getattr(getattr(given["runconfig"], "environment", None), "databricks", None)
    theirs = {kind: list(vars(section).get(kind) or ()) if section is not None else [] for kind in kinds}
    own = {kind: list(given[kind] or ()) for kind in kinds}
    if any(theirs.values()) and any(own.values()):
        raise UserErrorException(
            f"The step {name!r} has libraries both of its own and in its `runconfig`",
            hint="Name all of them in one place.",
        )
    return [library for kind in kinds for library in (*own[kind], *theirs[kind])]
