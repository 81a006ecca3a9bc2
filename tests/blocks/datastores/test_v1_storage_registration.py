"""v1's methods to register datastores: which URL they come to, what stays secret, and where a table lays them."""

from __future__ import annotations

import json
import pickle
import sqlite3
import sys

import pytest
import sqlalchemy

from stepwell import Datastore, DataReference, Workspace
from stepwell.blocks.datastores import v1_kinds as kinds
from stepwell.errors import DatastoreException

BLOB = {"container_name": "sampledata", "account_name": "pipelinedata"}


def blob(workspace, name="blob", **more):
    return Datastore.register_azure_blob_container(workspace, name, **BLOB, **more)


@pytest.mark.parametrize(
    ("method", "given", "kind", "url", "told"),
    [
        (
            "azure_blob_container",
            {**BLOB, "account_key": "secretkey==", "skip_validation": True, "grant_workspace_access": True},
            kinds.AzureBlobDatastore,
            "abfs://sampledata@pipelinedata.dfs.core.windows.net",
            {
                **BLOB,
                "account_key": "secretkey==",
                "sas_token": None,
                "protocol": "https",
                "endpoint": "core.windows.net",
            },
        ),
        (
            "azure_file_share",
            {"file_share_name": "share", "account_name": "acc", "account_key": "secretkey==", "skip_validation": True},
            kinds.AzureFileDatastore,
            "smb://acc.file.core.windows.net/share",
            {"container_name": "share", "account_name": "acc", "account_key": "secretkey=="},
        ),
        (
            "azure_sql_database",
            {
                "server_name": "srv",
                "database_name": "db",
                "username": "u",
                "password": "p@ss word",
                "skip_validation": True,
            },
            kinds.AzureSqlDatabaseDatastore,
            "mssql+pyodbc://srv.database.windows.net:1433/db?driver=ODBC+Driver+18+for+SQL+Server",
            {"server_name": "srv", "database_name": "db", "username": "u", "password": "p@ss word"},
        ),
        (
            "azure_postgre_sql",
            {"server_name": "srv", "database_name": "db", "user_id": "u", "user_password": "p@ss word"},
            kinds.AzurePostgreSqlDatastore,
            "postgresql://srv.postgres.database.azure.com:5432/db?sslmode=require",
            {"user_id": "u", "user_password": "p@ss word", "port_number": 5432, "enforce_ssl": True},
        ),
        (
            "azure_my_sql",
            {
                "server_name": "a.b.c",
                "database_name": "db",
                "user_id": "u",
                "user_password": "p@ss word",
                "port_number": 1,
            },
            kinds.AzureMySqlDatastore,
            "mysql+pymysql://a.b.c:1/db",
            {"user_id": "u", "user_password": "p@ss word"},
        ),
        ("dbfs", {}, kinds.DBFSDatastore, "dbfs://", {}),
        (
            "hdfs",
            {
                **{"protocol": "http", "namenode_address": "nn:50070", "hdfs_server_certificate": None},
                **{"kerberos_realm": "R", "kerberos_kdc_address": "kdc", "kerberos_principal": "p"},
                "kerberos_password": "secretkey==",
            },
            kinds.HDFSDatastore,
            "webhdfs://nn:50070",
            {"namenode_address": "nn:50070", "kerberos_password": "secretkey=="},
        ),
    ],
)
def test_each_service_has_its_url_its_type_and_v1s_attributes(shared_workspace, method, given, kind, url, told):
    made = getattr(Datastore, f"register_{method}")(shared_workspace, f"s_{method}", **given)
    found = Datastore.get(shared_workspace, f"s_{method}")
    for store in (made, found, pickle.loads(pickle.dumps(found))):
        assert type(store).__name__ == kind.__name__ and isinstance(store, Datastore) and isinstance(store, kind)
        assert (store.url, store.datastore_type) == (url, kind.service)
        assert {name: getattr(store, name) for name in told} == told
    shown = json.loads(repr(found))
    assert shown["name"] == f"s_{method}" and "secretkey" not in repr(found) and "p@ss" not in repr(found)
    secret = [text for text in given.values() if text in ("secretkey==", "p@ss word")]
    assert set(found.secrets) == set(secret)
    assert "secretkey" not in json.dumps(found._block.facts) + json.dumps(found._block.plain_options)


def test_lakes_are_opened_by_their_principal(shared_workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("STEPWELL_DATASTORES", json.dumps({"*": str(tmp_path)}))
    principal = {"tenant_id": "t", "client_id": "c", "client_secret": "verysecret"}
    one = Datastore.register_azure_data_lake(shared_workspace, "lake1", "old", **principal)
    two = Datastore.register_azure_data_lake_gen2(
        shared_workspace, "lake2", "fs", "acc", **principal, endpoint="cn.net"
    )
    assert (one.local_root, two.local_root) == (tmp_path / "old", tmp_path / "acc" / "fs")
    monkeypatch.delenv("STEPWELL_DATASTORES")
    one, two = Datastore(shared_workspace, "lake1"), Datastore(shared_workspace, "lake2")
    assert one.url == "adl://old" and one._options == {"store_name": "old", **principal}
    assert isinstance(two, kinds.AbstractADLSDatastore) and two.client_secret == "verysecret"
    assert two._options == {"account_name": "acc", "account_host": "acc.blob.cn.net", **principal}


def test_the_stores_of_a_new_workspace_are_what_v1_has(shared_workspace):
    store, files = shared_workspace.get_default_datastore(), Datastore(shared_workspace, "workspacefilestore")
    assert isinstance(store, kinds.AzureBlobDatastore) and isinstance(files, kinds.AzureFileDatastore)
    assert (store.datastore_type, files.datastore_type) == ("AzureBlob", "AzureFile")
    assert (store.account_name, store.account_key, store.credential_type) == (shared_workspace.name, None, "None")
    assert json.loads(repr(store))["container_name"] and store.local_root


def test_without_its_driver_a_store_tells_what_to_do(shared_workspace, monkeypatch):
    monkeypatch.setitem(sys.modules, "adlfs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "abfs", raising=False)
    with pytest.raises(DatastoreException, match="STEPWELL_DATASTORES"):
        blob(shared_workspace, "nodriver")
    assert "nodriver" not in shared_workspace.datastores


@pytest.mark.parametrize(
    "key", ["blob", "pipelinedata/sampledata", "abfs://sampledata@pipelinedata.dfs.core.windows.net"]
)
def test_a_store_is_laid_on_a_folder_by_name_identity_or_url(workspace, tmp_path, monkeypatch, key):
    monkeypatch.setenv("STEPWELL_DATASTORES", json.dumps({key: str(tmp_path / "data")}))
    store = blob(workspace, account_key="secretkey==", create_if_not_exists=True)
    (tmp_path / "data" / "f.csv").write_text("content")
    assert list(store.files()) == ["f.csv"] and store.account_name == "pipelinedata"
    assert Datastore(workspace, "blob").path("f.csv").path_on_datastore == "f.csv"
    assert blob(workspace).name == "blob"  # the same again is no other one
    with pytest.raises(DatastoreException, match="exists already"):
        Datastore.register_azure_blob_container(workspace, "blob", "other", "pipelinedata")


def test_a_table_in_a_file_or_in_the_workspace_does_the_same(workspace, tmp_path, monkeypatch):
    (tmp_path / "places.json").write_text(json.dumps({"pipelinedata/sampledata": "data"}))
    monkeypatch.setenv("STEPWELL_DATASTORES", str(tmp_path / "places.json"))
    assert blob(workspace).local_root == tmp_path / "data"
    monkeypatch.delenv("STEPWELL_DATASTORES")
    assert Datastore(workspace, "blob").local_root is None
    workspace.lay_datastore("*", str(tmp_path / "all"))
    again = Workspace.get(workspace.name)
    assert again.datastores["blob"].local_root == tmp_path / "all" / "pipelinedata" / "sampledata"
    assert again.get_default_datastore().local_root == workspace.get_default_datastore().local_root  # it is the home's
    again.lay_datastore("*")
    assert Datastore(Workspace.get(workspace.name), "blob").local_root is None


@pytest.mark.parametrize("table", ["{", "[]", '{"a": 1}', '{"a": "relative/path"}', "/no/such/file"])
def test_a_table_that_can_not_be_read_is_no_traceback(shared_workspace, monkeypatch, table):
    monkeypatch.setenv("STEPWELL_DATASTORES", table)
    with pytest.raises(DatastoreException):
        blob(shared_workspace, "unread")


def test_tables_are_laid_on_sqlite(workspace, tmp_path, monkeypatch):
    with sqlite3.connect(tmp_path / "x.db") as base:
        base.execute("create table t (a)")
        base.execute("insert into t values (7)")
    base.close()
    secret = {"user_id": "u", "user_password": "p@ss word"}
    store = Datastore.register_azure_my_sql(workspace, "sql", "srv", "db", **secret)
    assert store.connection_url == "mysql+pymysql://u:p%40ss word@srv.mysql.database.azure.com:3306/db"
    workspace.lay_datastore("srv/db", str(tmp_path / "x.db"))
    store = Datastore(Workspace.get(workspace.name), "sql")
    engine = sqlalchemy.create_engine(store.connection_url)
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("select a from t")).scalar() == 7
    engine.dispose()
    with pytest.raises(DatastoreException, match="tables, no files"):
        list(store.files())
    with pytest.raises(DatastoreException, match="no tables"):
        workspace.get_default_datastore().connection_url


def test_an_unchanged_pipeline_reads_a_store_of_azure_that_is_laid_on_a_folder(project, monkeypatch, tmp_path):
    (tmp_path / "laid").mkdir()
    (tmp_path / "laid" / "in.txt").write_text("seven")
    project.workspace.lay_datastore("pipelinedata/sampledata", str(tmp_path / "laid"))
    store = blob(project.workspace, account_key="secretkey==")
    data = DataReference(store, "given", "in.txt")
    step = project.step("read.py", "assert open(args[0]).read() == 'seven'", arguments=[data], inputs=[data])
    assert project.happened(project.pipeline(step)) == {"read.py": "ran"}
