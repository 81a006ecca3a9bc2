"""Runs the main class of a jar by spark-submit, with the arguments that v1 adds."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from stepwell.drivers.spark import session, settings
from stepwell.drivers.spark.places import local_path


def main(_: str, given: dict[str, str]) -> None:
    """Run the class; end the step as it ends.

    Args:
        _: '', since there is no script.
        given: The settings of the step.
    """
    options = settings.begin(given)
    jars = list(options.pop("jars"))
    if not jars:
        sys.exit(f"There is no jar that has the class {given['main_class_name']}. Name it in `jar_libraries`.")
    missing = [jar for jar in jars if "://" not in jar and not os.path.isfile(jar)]
    if missing:
        sys.exit(
            f"There is no jar {missing[0]}. Put it into the source directory, or below dbfs/ of STEPWELL_DATABRICKS_FOLDER."
        )
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


def _spark_submit() -> str:
    import pyspark  # type: ignore[import-not-found, unused-ignore]

    os.environ["SPARK_HOME"] = home = os.path.dirname(pyspark.__file__)
    return os.path.join(home, "bin", "spark-submit")
