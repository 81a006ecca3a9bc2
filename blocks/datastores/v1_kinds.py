"""The kinds of datastores that v1 knows: what each tells of itself under v1's names, and its files' or tables' place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from pydantic import SecretStr

CLOUD = "core.windows.net"


class _Block(Protocol):
    """The part of a datastore's block that a kind reads."""

    @property
    def options(self) -> Any:
        """The secrets."""
        ...


class _Fact:
    """What the datastore was registered with, under v1's name of it; None if with nothing."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: _Kind | None, owner: type) -> Any:
        return self if instance is None else instance._facts.get(self._name)  # noqa: SLF001  (its own room's)


class _Secret:
    """A secret that the datastore was registered with; None if with none."""

    def __init__(self, option: str) -> None:
        self._option = option

    def __get__(self, instance: _Kind | None, owner: type) -> Any:
        if instance is None:
            return self
        options: SecretStr | None = instance._block.options  # noqa: SLF001  (its own room's)
        held: Any = options.get_secret_value() if options else {}
        return held.get(self._option)


class _Kind:
    """A kind of datastore; what it is registered with stands in the block."""

    service: ClassVar[str] = ""
    """v1's `datastore_type`."""

    shown: ClassVar[tuple[str, ...]] = ()
    """What v1 prints of it."""

    _block: _Block
    _facts: Mapping[str, Any]

    subscription_id = _Fact()
    resource_group = _Fact()


class AbstractAzureStorageDatastore(_Kind):
    """Files of a storage account."""

    shown = ("container_name", "account_name", "protocol", "endpoint")

    container_name = _Fact()
    account_name = _Fact()
    protocol = _Fact()
    endpoint = _Fact()
    account_key = _Secret("account_key")
    sas_token = _Secret("sas_token")

    @property
    def credential_type(self) -> str:
        """`Sas`, `AccountKey` or `None`, as v1 names what opens the account."""
        return "Sas" if self.sas_token else "AccountKey" if self.account_key else "None"

    @property
    def is_sas(self) -> bool:
        """Whether a shared access signature opens it."""
        return bool(self.sas_token)


class AzureBlobDatastore(AbstractAzureStorageDatastore):
    """A blob container."""

    service = "AzureBlob"
    blob_cache_timeout = _Fact()


class AzureFileDatastore(AbstractAzureStorageDatastore):
    """A file share; v1 calls it a container, too."""

    service = "AzureFile"
    account_key = _Secret("password")


class AbstractADLSDatastore(_Kind):
    """Files of a data lake, opened by a service principal."""

    tenant_id = _Fact()
    client_id = _Fact()
    resource_url = _Fact()
    authority_url = _Fact()
    client_secret = _Secret("client_secret")


class AzureDataLakeDatastore(AbstractADLSDatastore):
    """A data lake of the first generation, which Azure has retired."""

    service = "AzureDataLake"
    shown = ("store_name", "tenant_id", "client_id")
    store_name = _Fact()


class AzureDataLakeGen2Datastore(AbstractADLSDatastore):
    """A data lake of the second generation."""

    service = "AzureDataLakeGen2"
    shown = ("container_name", "account_name", "protocol", "endpoint", "tenant_id", "client_id")
    container_name = _Fact()
    account_name = _Fact()
    protocol = _Fact()
    endpoint = _Fact()


class SqlKind(_Kind):
    """Tables in a database, reached by an URL of SQLAlchemy."""

    shown = ("server_name", "database_name")
    server_name = _Fact()
    database_name = _Fact()
    endpoint = _Fact()


class AzureSqlDatabaseDatastore(SqlKind):
    """A database of Azure SQL."""

    service = "AzureSqlDatabase"
    tenant_id = _Fact()
    client_id = _Fact()
    resource_url = _Fact()
    authority_url = _Fact()
    username = _Fact()
    client_secret = _Secret("client_secret")
    password = _Secret("password")


class AzurePostgreSqlDatastore(SqlKind):
    """A database of PostgreSQL."""

    service = "AzurePostgreSql"
    user_id = _Fact()
    port_number = _Fact()
    enforce_ssl = _Fact()
    user_password = _Secret("password")


class AzureMySqlDatastore(SqlKind):
    """A database of MySQL."""

    service = "AzureMySql"
    user_id = _Fact()
    port_number = _Fact()
    user_password = _Secret("password")


class DBFSDatastore(_Kind):
    """The file system of a Databricks workspace: DATABRICKS_HOST and DATABRICKS_TOKEN say which."""

    service = "DBFS"


class HDFSDatastore(_Kind):
    """Files of a Hadoop cluster."""

    service = "HDFS"
    shown = ("protocol", "namenode_address", "kerberos_realm", "kerberos_kdc_address", "kerberos_principal")
    protocol = _Fact()
    namenode_address = _Fact()
    hdfs_server_certificate = _Fact()
    kerberos_realm = _Fact()
    kerberos_kdc_address = _Fact()
    kerberos_principal = _Fact()
    kerberos_keytab = _Fact()
    kerberos_password = _Secret("kerberos_password")


KINDS: Mapping[str, type[_Kind]] = {
    kind.service: kind
    for kind in (
        AzureBlobDatastore,
        AzureFileDatastore,
        AzureDataLakeDatastore,
        AzureDataLakeGen2Datastore,
        AzureSqlDatabaseDatastore,
        AzurePostgreSqlDatastore,
        AzureMySqlDatastore,
        DBFSDatastore,
        HDFSDatastore,
    )
}
"""The kinds by v1's `datastore_type`."""

OWN = {"workspaceblobstore": "AzureBlob", "workspacefilestore": "AzureFile"}
"""What v1 has for the two datastores that every workspace begins with."""

_SCHEMES = {"abfs": "AzureBlob", "abfss": "AzureBlob", "az": "AzureBlob", "adl": "AzureDataLake", "dbfs": "DBFS"}


def kind_of(kind: str, name: str, url: str) -> str:
    """Return v1's `datastore_type` of a datastore that may have been registered by its URL alone; '' if v1 has none."""
    return kind or (OWN.get(name, "") if not url else _SCHEMES.get(url.partition("://")[0], ""))


def own_facts(workspace: str, name: str) -> dict[str, Any]:
    """Return what a datastore that is a folder of the home tells where v1's has an account and a container."""
    if name not in OWN:
        return {}
    container = {"AzureBlob": "azureml-blobstore", "AzureFile": "azureml-filestore"}[OWN[name]]
    return {"account_name": workspace, "container_name": container, "protocol": "https", "endpoint": CLOUD}
