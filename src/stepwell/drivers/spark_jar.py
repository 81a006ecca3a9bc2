"""Runs the main class of a jar by spark-submit, with the arguments that v1 adds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from stepwell.drivers.spark import session, settings
from stepwell.drivers.spark.places import local_path
from stepwell.errors import UserErrorException
from stepwell.model.records import Known


def main(_: str, given: dict[str, str]) -> None:
    """Run the class; end the step as it ends.

    Args:
        _: '', since there is no script.
        given: The settings of the step.
    """
    options = settings.begin(given)
    jars = list(options.pop("jars"))
    if told := _lacking(given, jars):
        sys.exit(". ".join(told))
    target = session.target()
    if session.is_connect(target["master"]):
        sys.exit("A jar can't be run by Spark Connect. Choose a target with the master's own URL, such as spark://…")
    conf = {**session.usual(target), **target["conf"], **json.loads(given.get("spark_conf", "{}"))}
    words = session.submit_words(
        conf, {"master": target["master"], "class": given["main_class_name"], "jars": jars[1:], **options}
    )
    arguments = [*sys.argv[1:], *settings.named_arguments("", given)]
    sys.exit(
        subprocess.run(
            [_spark_submit(), *words, local_path(jars[0], session.folder()), *arguments], check=False
        ).returncode
    )


def refuse(known: Known) -> None:
    """Raise UserErrorException if no jar is named, or one that is named is not here."""
    named = [str(one["jar"]) for one in json.loads(known.settings.get("libraries", "[]")) if "jar" in one]
    if named and _OWN_FOLDER.isdisjoint(known.target):
        named = [local_path(jar, known.settings.get("folder", "")) for jar in named]
    jars = [os.path.join(known.source, jar) for jar in named if os.path.isabs(jar) or (known.source and ":" not in jar)]
    if told := _lacking(known.settings, jars) if jars or not named else None:
        raise UserErrorException(told[0], {"step": known.step}, told[1])


_OWN_FOLDER = {"SparkCompute", "DatabricksCompute"}
"""Compute targets that may have a folder of their own for what is at `dbfs:/`."""


def _lacking(given: Mapping[str, str], jars: Sequence[str]) -> tuple[str, str] | None:
    """Return what is said of a jar that is not there, and what to do about it; None if all are."""
    if not jars:
        return f"There is no jar that has the class {given['main_class_name']}", "Name it in `jar_libraries`."
    missing = [jar for jar in jars if "://" not in jar and not os.path.isfile(jar)]
    hint = "Put it into the source directory, or below dbfs/ of STEPWELL_DATABRICKS_FOLDER."
    return (f"There is no jar {missing[0]}", hint) if missing else None


def _spark_submit() -> str:
    import pyspark  # type: ignore[import-not-found, unused-ignore]

    os.environ["SPARK_HOME"] = home = os.path.dirname(pyspark.__file__)
    return os.path.join(home, "bin", "spark-submit")
