"""Any script finds a target's Spark by the variables that PySpark reads; its drivers know more."""

from __future__ import annotations

import json

import pytest
from stepwell import ComputeTarget, PipelineData, SparkCompute
from stepwell.errors import UserErrorException

SHOW = """
import json, os
names = ("STEPWELL_SPARK", "PYSPARK_SUBMIT_ARGS", "SPARK_REMOTE", "SPARK_LOCAL_IP")
json.dump({name: os.environ.get(name) for name in names}, open(args[0], "w"))
"""


@pytest.mark.parametrize("master", ["spark://host:7077", "sc://host:15002", "local[2]"])
def test_a_script_step_is_told_of_the_master(project, master, tmp_path):
    target = SparkCompute(master=master, conf={"spark.a": "b c"}, folder=str(tmp_path / "folder"))
    ComputeTarget.attach(project.workspace, "cluster", target)
    out = PipelineData("out")
    pipeline = project.pipeline(project.step("show.py", SHOW, arguments=[out], outputs=[out], compute_target="cluster"))
    (step,) = project.run(pipeline).steps
    assert (step.happened, step.error, step.ran_on["spark"]) == ("ran", "", master)
    told = json.loads(project.workspace.path_of(pipeline()["show.py"]["out"]).read_text())
    wanted = {"master": master, "conf": {"spark.a": "b c"}, "folder": str(tmp_path / "folder")}
    assert json.loads(told["STEPWELL_SPARK"]) == wanted
    connect = master.startswith("sc:")
    assert told["SPARK_REMOTE"] == (master if connect else None)
    words = told["PYSPARK_SUBMIT_ARGS"] or ""
    assert connect or (f"--master {master!r}" in words or f"--master {master} " in words) and "'spark.a=b c'" in words
    assert told["SPARK_LOCAL_IP"] == ("127.0.0.1" if master.startswith("local") else None)


def test_a_master_is_needed():
    with pytest.raises(UserErrorException, match="`master` of SparkCompute"):
        SparkCompute(master="")
