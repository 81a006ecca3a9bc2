"""`SynapseSparkStep` on Spark of this machine, and what v1 has around it."""

from __future__ import annotations

import shutil

import pytest
from stepwell import (
    ComputeTarget,
    Dataset,
    HDFSOutputDatasetConfig,
    LinkedService,
    SynapseCompute,
    SynapseSparkStep,
    SynapseWorkspaceLinkedServiceConfiguration,
)
from stepwell.errors import UserErrorException

SCRIPT = """
import argparse
from pyspark.sql import SparkSession
from helper import twice
parser = argparse.ArgumentParser()
parser.add_argument("--numbers")
parser.add_argument("--doubles")
args = parser.parse_args()
spark = SparkSession.builder.getOrCreate()
frame = spark.read.csv(args.numbers + "/*.csv", header=True, inferSchema=True)
frame.select(twice(frame.n).alias("n")).coalesce(1).write.csv(args.doubles, header=True)
print(spark.conf.get("spark.sql.shuffle.partitions"), spark.sparkContext.appName)
"""


@pytest.fixture
def pool(project):
    """Return a compute target as v1's users attach it."""
    configuration = SynapseWorkspaceLinkedServiceConfiguration("subscription", "group", "synapse")
    service = LinkedService.register(project.workspace, "linked", configuration)
    found = SynapseCompute.attach_configuration(service, type="SynapseSpark", pool_name="pool")
    return ComputeTarget.attach(project.workspace, "synapse", found)


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark runs on Java, which is not there")
def test_a_script_reads_a_dataset_and_writes_an_output_by_spark(project, pool, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/numbers.csv").write_text("n\n1\n2\n")
    project.write("double.py", SCRIPT)
    project.write("helper.py", "def twice(column):\n    return column * 2\n")
    place = (project.workspace.get_default_datastore(), "numbers")
    data = Dataset.File.upload_directory(str(tmp_path / "data"), place).as_named_input("numbers").as_hdfs()
    out = HDFSOutputDatasetConfig("doubles")

    def step(**more):
        return SynapseSparkStep(
            "double.py", project.source, pool, "512m", 1, "1g", 2, 2, arguments=["--numbers", data, "--doubles", out],
            inputs=[data], outputs=[out], py_files=["helper.py"], conf={"spark.sql.shuffle.partitions": 4}, **more,
        )  # fmt: skip

    pipeline = project.pipeline(step(app_name="doubling"))
    summary = project.run(pipeline)
    assert [(step.happened, step.error) for step in summary.steps] == [("ran", "")]
    (table,) = project.workspace.path_of(pipeline()["double.py"]["doubles"]).glob("*.csv")
    assert table.read_text() == "n\n2\n4\n"


def test_linked_services_are_kept_by_name(project, pool):
    (service,) = LinkedService.list(project.workspace)
    assert project.workspace.linked_services["linked"].linked_service_resource_id.endswith("/workspaces/synapse")
    assert isinstance(ComputeTarget(project.workspace, "synapse"), SynapseCompute)
    with pytest.raises(UserErrorException, match="no linked service 'other'"):
        LinkedService.get(project.workspace, "other")
    service.unregister()
    assert LinkedService.list(project.workspace) == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"driver_memory": "banana"}, "`driver_memory` must be a size of memory"),
        ({"executor_memory": "0g"}, "`executor_memory` must be a size of memory"),
        ({"driver_cores": 0}, "`driver_cores` must be a whole number of at least 1"),
        ({"num_executors": -1}, "`num_executors` must be a whole number of at least 1"),
        ({"conf": {"spark master": 1}}, "Spark has no setting 'spark master'"),
        ({"pyfiles": []}, "takes no argument 'pyfiles'"),
    ],
)
def test_sizes_and_settings_that_spark_can_not_have_are_refused(more, words):
    assert SynapseSparkStep("a.py", ".", "local", "512m", 1, "28g", 2, 1).name == "a.py"
    with pytest.raises(UserErrorException, match=words):
        SynapseSparkStep("a.py", ".", "local", **more)
