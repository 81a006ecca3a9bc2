"""Where a job finds its data: on datastores by the addresses that Spark opens, or in the workspace's files."""

from dataclasses import replace

import fsspec
import pytest

from stepwell.blocks.compute.databricks.data_places import url_for_spark
from stepwell.blocks.datastores.datastore_files import DatastoreBlock, DatastoreFiles
from stepwell.model.records import Artifact


@pytest.mark.parametrize(
    ("url", "account", "address"),
    [
        ("abfs://box@acc.dfs.core.windows.net", "", "abfss://box@acc.dfs.core.windows.net"),
        ("abfs://box@acc.dfs.core.chinacloudapi.cn/in", "", "abfss://box@acc.dfs.core.chinacloudapi.cn/in"),
        ("az://box/in", "acc", "abfss://box@acc.dfs.core.windows.net/in"),
        ("abfs://box", "acc", "abfss://box@acc.dfs.core.windows.net/"),
        ("az://box/in", "", None),
        ("dbfs://", "", "dbfs:/"),
        ("dbfs:///mnt/data", "", "dbfs:/mnt/data"),
        ("adl://lake", "", "adl://lake.azuredatalakestore.net/"),
        ("s3://bucket/in", "", "s3://bucket/in"),
        ("smb://acc.file.core.windows.net/share", "", None),
        ("memory://there", "", None),
        ("https://example.org/data", "", None),
    ],
)
def test_addresses_for_spark(url, account, address):
    assert url_for_spark(url, account) == address


@pytest.fixture
def lake(monkeypatch):
    """A datastore of the kind that v1's `register_azure_data_lake_gen2` makes, whose files are in memory."""
    options = {"account_name": "acc"}
    block = DatastoreBlock(workspace="w", name="lake", url="az://box", plain_options=options)
    datastore, memory = DatastoreFiles(block), fsspec.filesystem("memory")
    monkeypatch.setattr(DatastoreFiles, "_opened", lambda self, **more: memory)
    monkeypatch.setattr(DatastoreFiles, "locate", lambda self, path: f"/lake/{path}")
    yield datastore, memory
    memory.rm("/lake", recursive=True) if memory.exists("/lake") else None


def test_data_on_a_data_lake_stay_there_and_outputs_are_fetched_from_it(dbx, run, job, lake):
    datastore, memory = lake
    told = {}

    def ran(task):
        told.update(task["base_parameters"])
        place = told["table"].removeprefix("abfss://box@acc.dfs.core.windows.net/")
        memory.pipe({f"/lake/{place}/part-0.csv": b"one", f"/lake/{place}/deep/part-1.csv": b"two"})

    dbx.on_notebook = ran
    elsewhere = {"raw": (datastore, "in/raw.csv"), "table": (datastore, "azureml/11111111-2222")}
    done = run(job("spark_notebook", {"notebook_path": "/n"}, inputs=("raw",), outputs=("table",), elsewhere=elsewhere))
    assert told["raw"] == "abfss://box@acc.dfs.core.windows.net/in/raw.csv"
    assert told["table"].startswith("abfss://box@acc.dfs.core.windows.net/azureml/11111111-2222/11111111-2222-")
    place = done.finished.outputs["table"]
    assert {path.name: path.read_text() for path in place.rglob("*.csv")} == {"part-0.csv": "one", "part-1.csv": "two"}
    assert memory.find("/lake") == []  # its copy is kept by now
    assert dbx.calls("/dbfs/add-block") == []


def test_what_the_clusters_may_not_open_goes_through_the_workspaces_files(dbx, run, job, lake):
    datastore, _ = lake
    told = {}

    def ran(task):
        told.update(task["base_parameters"], content=dbx.dbfs(task["base_parameters"]["raw"]).read_text())
        dbx.dbfs(told["table"]).write_text("x")

    dbx.on_notebook = ran
    elsewhere = {"raw": (datastore, "in/raw.csv"), "table": (datastore, "azureml/11111111-2222")}
    given = job("spark_notebook", {"notebook_path": "/n"}, inputs=("raw",), outputs=("table",), elsewhere=elsewhere)
    done = run(given, on_datastores=False)
    assert told["raw"].startswith("dbfs:/tmp/stepwell/") and told["raw"].endswith("/inputs/raw/table.csv")
    assert told["content"] == "the raw" and done.finished.outputs["table"].read_text() == "x"


@pytest.mark.parametrize(("delivered", "shared"), [(b"the raw", True), (b"changed since", False), (None, False)])
def test_what_another_step_wrote_is_read_where_it_was_delivered_if_it_is_still_that(
    dbx, run, job, lake, delivered, shared
):
    datastore, memory = lake
    if delivered:
        memory.pipe({"/lake/azureml/0/raw": delivered})
    told = {}
    dbx.on_notebook = lambda task: told.update(task["base_parameters"])
    given = job(
        "spark_notebook", {"notebook_path": "/n"}, inputs=("raw",), elsewhere={"raw": (datastore, "azureml/0/raw")}
    )
    artifact = Artifact("lake", "azureml/0/raw", "d" * 64, 3, kept=True)
    run(replace(given, call=replace(given.call, inputs={"raw": artifact})))
    assert (told["raw"] == "abfss://box@acc.dfs.core.windows.net/azureml/0/raw") == shared
    assert told["raw"].startswith("dbfs:/") != shared
