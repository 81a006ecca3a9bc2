"""The Spark of a step: which one its compute target names, with which settings, and whether there is a Java for it.

A compute target says so in the variable `STEPWELL_SPARK`, JSON: `master`, `conf`, and `folder`, which stands in for a Databricks
workspace. Everything is put into variables that PySpark itself reads, so that `SparkSession.builder.getOrCreate()` of any script
finds it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

TARGET = "STEPWELL_SPARK"
HERE = "local[*]"
"""The master that is Spark on this machine, with all of its processors."""

JAVA = 17
"""The oldest Java that Spark 4 runs on."""


def target() -> dict[str, Any]:
    """Return what the compute target said; nothing is Spark on this machine."""
    told: dict[str, Any] = json.loads(os.environ.get(TARGET, "{}"))
    return {"master": HERE, "conf": {}, "folder": os.path.join(_temporary(), "databricks"), **told}


def is_connect(master: str) -> bool:
    """Return whether a master is the URL of a Spark Connect server."""
    return master.startswith("sc://")


def folder() -> str:
    """Return the folder that stands in for a Databricks workspace: that of the target, or one that goes with the step."""
    return str(target()["folder"])


def variables(
    told: Mapping[str, Any],
    conf: Mapping[str, str],
    options: Mapping[str, str | Sequence[str]] | None = None,
    python: str = sys.executable,
) -> dict[str, str]:
    """Return the variables by which PySpark finds a target's Spark; `conf` and spark-submit's `options` are the step's."""
    if is_connect(told["master"]):
        return {"SPARK_REMOTE": told["master"]}
    words = submit_words({**usual(told), **told["conf"], **conf}, {"master": told["master"], **(options or {})})
    both = dict.fromkeys(("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"), python)
    here = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": _temporary()} if _is_local(told) else {}
    return {**both, **here, "PYSPARK_SUBMIT_ARGS": shlex.join([*words, "pyspark-shell"])}


def submit_words(conf: Mapping[str, str], options: Mapping[str, str | Sequence[str]]) -> list[str]:
    """Return the options of spark-submit; several values of one are joined by commas."""
    words = []
    for name, value in options.items():
        text = value if isinstance(value, str) else ",".join(value)
        words += [f"--{name}", text] if text else []
    for name, text in conf.items():
        words += ["--conf", f"{name}={text}"]
    return words


def usual(told: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of every step: paths of `dbfs:/` are found, nothing is left in the working directory."""
    settings = {
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.warehouse.dir": f"file://{_temporary()}/spark-warehouse",
        "spark.hadoop.fs.dbfs.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        "spark.hadoop.fs.viewfs.overload.scheme.target.dbfs.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        "spark.hadoop.fs.viewfs.overload.scheme.target.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        "spark.hadoop.fs.viewfs.mounttable.default.linkFallback": f"file://{told['folder']}/dbfs",
    }
    if not _is_local(told):
        return settings
    here = {  # nobody else looks at it, and data has no files of checksums beside it
        "spark.ui.enabled": "false",
        "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={_temporary()}",
    }
    return {**settings, **here}


def refuse_missing(*modules: str) -> None:
    """End the step with one sentence if a module of Python, or Java, is not there."""
    import importlib.util

    if is_connect(target()["master"]):
        modules = (*modules, "grpc", "pandas", "pyarrow")
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"{' and '.join(missing)} can't be imported. Install stepwell[spark].")
    if is_connect(target()["master"]):
        return
    home = os.environ.get("JAVA_HOME", "")
    java = shutil.which("java", path=os.path.join(home, "bin") if home else None)
    if java is None:
        where = f"in JAVA_HOME, {home}" if home else "on the PATH"
        sys.exit(
            f"Java is not found {where}, and Spark runs on it. Install Java {JAVA} (Debian: openjdk-{JAVA}-jre-headless), "
            "or set JAVA_HOME."
        )
    version = _version(java)
    if version and version < JAVA and _spark() >= 4:
        sys.exit(
            f"Java {version} at {java} is older than the Java {JAVA} that Spark {_spark()} needs. Set JAVA_HOME to a newer one."
        )


def session(name: str = "stepwell") -> Any:
    """Return the Spark session that there is, or a new one."""
    from pyspark.sql import SparkSession  # type: ignore[import-not-found, unused-ignore]

    found = SparkSession.builder.appName(name).getOrCreate()
    if not is_connect(target()["master"]):
        found.sparkContext.setLogLevel("ERROR" if "spark.log.level" not in str(target()["conf"]) else "WARN")
    return found


def sql_context() -> Any:
    """Return the `SQLContext` of old code, around the session."""
    from pyspark.sql import SQLContext  # type: ignore[import-not-found, unused-ignore]

    found = session()
    return SQLContext(found.sparkContext, found)


def stop() -> None:
    """Stop the session that this process started, if there is one; what it lent from others stays."""
    pyspark = sys.modules.get("pyspark")
    context = getattr(getattr(pyspark, "SparkContext", None), "_active_spark_context", None)
    if context is not None:
        context.stop()


def _version(java: str) -> int:
    """Return the version of a Java, as the file beside it says; 0 if nothing does."""
    place = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(java))), "release")
    try:
        with open(place, encoding="utf-8") as stream:
            found = re.search(r'JAVA_VERSION="(?:1\.)?(\d+)', stream.read())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _spark() -> int:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return int(version("pyspark").partition(".")[0])
    except (PackageNotFoundError, ValueError):
        return 0


def _is_local(told: Mapping[str, Any]) -> bool:
    return str(told["master"]).startswith("local")


def _temporary() -> str:
    return os.environ.get("TMPDIR", "/tmp")  # noqa: S108
