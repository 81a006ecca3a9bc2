"""The settings of a Databricks or Synapse step, as its driver uses them on a Spark of one's own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys

from stepwell.drivers.spark import session
from stepwell.drivers.spark.places import local_path

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_OF_DATABRICKS = (
    *(
        "existing_cluster_id",
        "spark_version",
        "node_type",
        "instance_pool_id",
        "num_workers",
        "min_workers",
        "max_workers",
    ),
    *("init_scripts", "cluster_log_dbfs_path", "run_name", "permit_cluster_restart"),
)
_SIZES = ("driver_memory", "driver_cores", "executor_memory", "executor_cores", "num_executors")


def begin(settings: dict[str, str], *modules: str) -> dict[str, str | list[str]]:
    """Let this process, and those that it starts, find Spark, and return the options of spark-submit."""
    _find_folder(settings.get("folder", ""))
    session.refuse_missing("pyspark", *modules)
    told = [name for name in _OF_DATABRICKS if name in settings]
    if told:
        print(
            f"Note: {', '.join(told)} {'say' if told[1:] else 'says'} nothing to a Spark outside of Databricks.",
            flush=True,
        )
    _check_contents(_json(settings, "contents", {}))
    os.environ.update(_json(settings, "spark_env_variables", {}))
    options = _options(settings)
    os.environ.update(session.variables(session.target(), _json(settings, "spark_conf", {}), options))
    offer_dbutils()
    return options


def _find_folder(named: str) -> None:
    """Take the folder that the step names where its target, such as `local`, says nothing of Spark, if it can be there."""
    if named and session.TARGET not in os.environ:
        with contextlib.suppress(OSError):
            os.makedirs(f"{named}/dbfs", exist_ok=True)
            os.environ[session.TARGET] = json.dumps({"folder": named})


def _note(settings: dict[str, str], names: tuple[str, ...], where: str) -> None:
    told = [name for name in names if name in settings]
    if told:
        print(f"Note: {', '.join(told)} {'say' if told[1:] else 'says'} nothing to a Spark {where}.", flush=True)


def offer_dbutils() -> None:
    """Let `from pyspark.dbutils import DBUtils` find ours: only Databricks has that module."""
    from stepwell.drivers.spark.dbutils import DBUtils

    module = type(sys)("pyspark.dbutils")
    module.DBUtils = DBUtils  # type: ignore[attr-defined]
    sys.modules.setdefault("pyspark.dbutils", module)


def named_values(settings: dict[str, str]) -> dict[str, str]:
    """Return the paths of inputs and outputs by name."""
    return {name.partition(".")[2]: value for name, value in settings.items() if name.startswith(("input.", "output."))}


def widget_values(settings: dict[str, str]) -> dict[str, str]:
    """Return what a notebook can ask for by name: its parameters, the paths of its inputs and outputs, and the facts of its run."""
    given = {name.partition(".")[2]: value for name, value in settings.items() if name.startswith("param.")}
    return {**facts(), **named_values(settings), **given}


def facts() -> dict[str, str]:
    """Return v1's facts of the run by name; there is no token, since scripts need none."""
    from stepwell.script.run import Run

    run = Run.get_context()
    context = getattr(getattr(run, "_log", None), "context", {})
    return {
        "AZUREML_SCRIPT_DIRECTORY_NAME": os.getcwd(),
        "AZUREML_RUN_TOKEN": "none",
        "AZUREML_RUN_TOKEN_EXPIRY": "0",
        "AZUREML_RUN_ID": os.environ.get("AZUREML_RUN_ID", ""),
        "AZUREML_ARM_SUBSCRIPTION": "stepwell",
        "AZUREML_ARM_RESOURCEGROUP": "stepwell",
        "AZUREML_ARM_WORKSPACE_NAME": str(context.get("workspace", "")),
        "AZUREML_ARM_PROJECT_NAME": str(context.get("experiment", "")),
        "AZUREML_SERVICE_ENDPOINT": "stepwell",
        "AZUREML_WORKSPACE_ID": str(context.get("workspace", "")),
        "AZUREML_EXPERIMENT_ID": str(context.get("experiment", "")),
    }


def named_arguments(script: str, settings: dict[str, str]) -> Iterator[str]:
    """Yield the arguments that v1 adds: `-<name> <path>` for inputs and outputs, `--AZUREML_…` for the run.

    A script that names `--<name>` gets that. One that takes no argument that it doesn't know gets those of the run that it names.
    """
    for name, path in named_values(settings).items():
        long = re.search(rf"""["']--{re.escape(name)}["']""", script)
        yield from (f"--{name}" if long else f"-{name}", path)
    strict = re.search(r"\bparse_args\s*\(", script)
    for name, value in facts().items():
        if not strict or f"--{name}" in script:
            yield from (f"--{name}", value)


def _options(settings: dict[str, str]) -> dict[str, str | list[str]]:
    """Return the options of spark-submit, of libraries and of what a Synapse step says."""
    folder, libraries = session.folder(), _json(settings, "libraries", [])
    maven = [library["maven"] for library in libraries if "maven" in library]
    eggs = [os.path.abspath(local_path(library["egg"], folder)) for library in libraries if "egg" in library]
    jars = [local_path(library["jar"], folder) for library in libraries if "jar" in library]
    _install([library["pypi"] for library in libraries if "pypi" in library])
    for egg in eggs:
        _put_on_path(egg)
    if any("cran" in library for library in libraries):
        print("Note: packages of R say nothing to a step that runs no R.", flush=True)
    sizes = {name.replace("_", "-"): settings[name] for name in _SIZES if name in settings}
    if session.target()["master"].startswith("local"):  # driver and executors are one process
        memory = [settings[name] for name in ("driver_memory", "executor_memory") if name in settings]
        sizes = {"driver-memory": max(memory, key=_bytes)} if memory else {}
        _note(settings, ("driver_cores", "executor_cores", "num_executors"), "of this machine")
    return {
        **sizes,
        "name": settings.get("app_name", ""),
        "jars": [*jars, *_paths(settings, "jars")],
        "py-files": [*eggs, *_paths(settings, "py_files")],
        "files": _paths(settings, "files"),
        "packages": [str(one["coordinates"]) for one in maven],
        "repositories": list(dict.fromkeys(str(one["repo"]) for one in maven if one.get("repo"))),
        "exclude-packages": [str(name) for one in maven for name in one.get("exclusions", ())],
    }


def _bytes(size: str) -> int:
    match = re.match(r"(\d+)\s*([kmgt]?)", size.lower())
    return int(match[1]) << {"k": 10, "": 20, "m": 20, "g": 30, "t": 40}[match[2]] if match else 0


def _paths(settings: dict[str, str], name: str) -> list[str]:
    folder = session.folder()
    return [
        path if re.match(r"\w+://", path) else os.path.abspath(local_path(path, folder))
        for path in _json(settings, name, [])
    ]


def _check_contents(contents: dict[str, str]) -> None:
    """End the step if a file of `dbfs:/` is not what it was when the pipeline was made: the result would have a wrong key."""
    for path, digest in contents.items():
        with open(local_path(path, session.folder()), "rb") as stream:
            if hashlib.sha256(stream.read()).hexdigest() != digest:
                sys.exit(f"{path} is another file than when the pipeline was made. Make the pipeline again.")


def _install(wanted: list[dict[str, str]]) -> None:
    """Install the packages that are not here, for this step alone."""
    missing = [one for one in wanted if not (one["package"].startswith("azureml") or is_installed(one["package"]))]
    if not missing:
        return
    import subprocess

    place = os.path.join(os.environ.get("TMPDIR", "."), "pypi-libraries")
    for one in missing:
        index = ["--index-url", one["repo"]] if one.get("repo") else []
        print(f"Installing {one['package']} for this step ...", flush=True)
        words = [sys.executable, "-m", "pip", "install", "--quiet", "--target", place, *index, one["package"]]
        if subprocess.run(words, check=False).returncode:
            sys.exit(
                f"The library {one['package']!r} can't be installed. Correct its name, or install it where Spark runs."
            )
    _put_on_path(place)


def is_installed(requirement: str) -> bool:
    """Return whether a package is installed, in a version that the requirement allows."""
    from importlib.metadata import PackageNotFoundError, version

    name = re.match(r"[\w.-]+", requirement)
    if name is None:
        return False
    try:
        installed = version(name[0])
    except PackageNotFoundError:
        return False
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        return requirement == name[0]
    try:
        return Requirement(requirement).specifier.contains(installed, prereleases=True)
    except InvalidRequirement:
        return False


def _put_on_path(place: str) -> None:
    """Let imports find a folder or egg, in this process and the Pythons that it starts, after the script's own folder."""
    sys.path.insert(1, place)
    first, *others = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), ""]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [first, place, *others]))


def _json(settings: dict[str, str], name: str, usual: Any) -> Any:
    return json.loads(settings[name]) if name in settings else usual
