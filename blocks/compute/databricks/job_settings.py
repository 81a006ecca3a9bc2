"""What Databricks' jobs interface is told of a step: its task, cluster and libraries, from the settings of the step's driver.

Only plain values, as in the REST interface, are made here; nothing is asked or sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stepwell.model.definitions import Argument, StepDefinition

NOTEBOOK, SCRIPT, JAR = "spark_notebook", "spark_script", "spark_jar"
DRIVERS = (NOTEBOOK, SCRIPT, JAR)
"""The drivers whose steps a Databricks workspace runs."""

_PLACES = {"dbfs:": "dbfs", "/Volumes/": "volumes", "/Workspace/": "workspace", "/Users/": "workspace"}
_PLACES |= {"/Shared/": "workspace", "abfss:": "abfss", "s3:": "s3", "gs:": "gcs", "file:": "file"}
_WORKERS = 1


@dataclass(frozen=True)
class JobSettings:
    """A step's driver, with its parameters filled in and its ports as the job sees them."""

    driver: str
    told: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    ports: Mapping[str, str] = field(default_factory=dict)
    run: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    @classmethod
    def of(
        cls,
        step: StepDefinition,
        parameters: Mapping[str, str],
        ports: Mapping[str, str],
        run: Mapping[str, str],
        text: str = "",
    ) -> JobSettings:
        """Return the settings of a step's job.

        `parameters` are their values, `ports` the addresses of the data as the job sees them, `run` what v1 tells a script of
        the run, as `AZUREML_RUN_ID`, `text` that of the script, if it is known.
        """
        assert step.driver is not None
        values = {"input": ports, "output": ports, "parameter": parameters}

        def filled(argument: Argument) -> str:
            return "".join(value if kind == "text" else values[kind][value] for kind, value in argument)

        told = {**step.driver.settings, **getattr(step.driver, "hints", {})}
        return cls(
            step.driver.name,
            {name: filled(value) for name, value in told.items()},
            tuple(map(filled, step.arguments)),
            ports,
            run,
            text,
        )

    def _json(self, name: str, usual: Any) -> Any:
        return json.loads(self.told[name]) if self.told.get(name) else usual

    # What runs --------------------------------------------------------------------------------------------------------

    @property
    def notebook_parameters(self) -> dict[str, str]:
        """What a notebook finds by its widgets: its own parameters, its data, and the run; the first of a name counts."""
        own = {name.removeprefix("param."): value for name, value in self.told.items() if name.startswith("param.")}
        return {**self.run, **self.ports, **own}

    @property
    def script_arguments(self) -> list[str]:
        """The arguments of a script or jar: its own, its data as `-<name> <address>`, and the run as `--AZUREML_RUN_ID <id>`.

        A script whose text is known gets `--<name>` where it names that, and, if it takes no arguments that it doesn't know,
        only what it names of the run: as the step does on Spark of this machine.
        """
        words = [*self.arguments]
        for name, address in self.ports.items():
            long = re.search(rf"""["']--{re.escape(name)}["']""", self.text)
            words += [f"--{name}" if long else f"-{name}", address]
        strict = re.search(r"\bparse_args\s*\(", self.text)
        for name, value in self.run.items():
            words += [f"--{name}", value] if not strict or f"--{name}" in self.text else []
        return words

    def task(self, path: str) -> dict[str, Any]:
        """Return the task, without cluster and libraries; `path` is where the notebook or script is in the workspace."""
        if self.driver == NOTEBOOK:
            notebook = {"notebook_path": path, "source": "WORKSPACE", "base_parameters": self.notebook_parameters}
            return {"notebook_task": notebook}
        if self.driver == JAR:
            return {
                "spark_jar_task": {
                    "main_class_name": self.told["main_class_name"],
                    "parameters": self.script_arguments,
                }
            }
        return {"spark_python_task": {"python_file": path, "parameters": self.script_arguments}}

    # Where it runs ----------------------------------------------------------------------------------------------------

    @property
    def existing_cluster(self) -> str:
        """The id of the cluster that is there, '' for a new one."""
        return self.told.get("existing_cluster_id", "")

    @property
    def may_restart_cluster(self) -> bool:
        """Whether that cluster may be restarted."""
        return self.told.get("permit_cluster_restart", "").lower() == "true"

    @property
    def spark_version(self) -> str:
        """The runtime of a new cluster, '' if the step names none."""
        return self.told.get("spark_version", "")

    @property
    def node_type(self) -> str:
        """The kind of machine of a new cluster, '' if the step names neither that nor a pool."""
        return self.told.get("node_type", "")

    @property
    def pool(self) -> str:
        """The id of the pool of machines, '' if there is none."""
        return self.told.get("instance_pool_id", "")

    def new_cluster(self, spark_version: str, node_type: str, *, volumes: bool = False) -> dict[str, Any]:
        """Return the cluster to make, of this runtime, and of these machines if they come from no pool.

        `volumes`: it has to see volumes of Unity Catalog, which only a cluster of somebody's own does by itself.
        """
        told = self.told
        machines = {"instance_pool_id": self.pool} if self.pool else {"node_type_id": node_type}
        if told.get("min_workers"):
            workers: dict[str, Any] = {
                "autoscale": {"min_workers": int(told["min_workers"]), "max_workers": int(told["max_workers"])}
            }
        else:
            workers = {"num_workers": int(told.get("num_workers") or _WORKERS)}
        cluster = {"spark_version": spark_version, **machines, **workers}
        more = {
            "spark_conf": self._json("spark_conf", {}),
            "spark_env_vars": self._json("spark_env_variables", {}),
            "init_scripts": [_stored(path) for path in self._json("init_scripts", [])],
            "cluster_log_conf": _stored(told["cluster_log_dbfs_path"]) if told.get("cluster_log_dbfs_path") else {},
        }
        if workers.get("num_workers") == 0:  # as Databricks wants a cluster of the driver alone to be asked for
            alone = {"spark.databricks.cluster.profile": "singleNode", "spark.master": "local[*]"}
            more["spark_conf"] = {**alone, **more["spark_conf"]}
            cluster["custom_tags"] = {"ResourceClass": "SingleNode"}
        cluster |= {"data_security_mode": "SINGLE_USER"} if volumes else {}
        return {**cluster, **{name: value for name, value in more.items() if value}}

    @property
    def log_folder(self) -> str:
        """The folder to which a new cluster's logs go, '' if nobody named one."""
        return self.told.get("cluster_log_dbfs_path", "").rstrip("/") if not self.existing_cluster else ""

    @property
    def libraries(self) -> list[dict[str, Any]]:
        """The libraries, as in the REST interface."""
        return list(self._json("libraries", []))

    def local_libraries(self) -> Iterator[str]:
        """Yield the paths of jars, eggs and wheels that are paths in the source directory, no addresses."""
        for library in self.libraries:
            for kind in ("jar", "egg", "whl"):
                path = str(library.get(kind, ""))
                if path and ":" not in path and not path.startswith("/"):
                    yield path


def with_paths(libraries: list[dict[str, Any]], sent: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the libraries, those that were sent to the workspace by their addresses there; a wheel is no egg."""
    found = []
    for library in libraries:
        kind, what = next(iter(library.items()))
        if kind == "egg" and str(what).endswith(".whl"):
            kind = "whl"
        found.append({kind: sent.get(what, what) if isinstance(what, str) else what})
    return found


def _stored(path: str) -> dict[str, Any]:
    """Return the address of a file or folder as a cluster's settings have it; a path of no known place is one of DBFS."""
    place = next((kind for start, kind in _PLACES.items() if path.startswith(start)), "dbfs")
    address = path if place != "dbfs" or path.startswith("dbfs:") else f"dbfs:/{path.lstrip('/')}"
    return {place: {"destination": address}}
