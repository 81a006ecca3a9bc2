"""v1's ways to register storage, of Azure and of clusters: a method for each service, mapped to the URL by which fsspec opens it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datastores.v1_kinds import CLOUD
from stepwell.blocks.datastores.v1_registration import DatastoreOwner, Registration


@checked
class StorageRegistration(Registration):
    """v1's methods of `Datastore` for storage."""

    @classmethod
    def register_azure_blob_container(
        cls,
        workspace: DatastoreOwner,
        datastore_name: str,
        container_name: str,
        account_name: str,
        sas_token: str | None = None,
        account_key: str | None = None,
        protocol: str | None = None,
        endpoint: str | None = None,
        overwrite: bool = False,
        create_if_not_exists: bool = False,
        skip_validation: bool = False,
        blob_cache_timeout: int | None = None,
        grant_workspace_access: bool = False,
        subscription_id: str | None = None,
        resource_group: str | None = None,
    ) -> Self:
        """Save a blob container as a datastore: `abfs://<container>@<account>.dfs.core.windows.net`.

        Args:
            workspace: The workspace that the datastore will belong to.
            datastore_name: Letters, digits and underscores.
            container_name: The container.
            account_name: The storage account.
            sas_token: Opens the container; kept as a secret.
            account_key: Opens the account; kept as a secret. Without either, a public container is read.
            protocol: Kept and shown; `https` by default.
            endpoint: The cloud's name, `core.windows.net` by default.
            overwrite: Whether to replace another datastore of that name.
            create_if_not_exists: Whether to make the container.
            skip_validation: Whether to save without opening it first.
            blob_cache_timeout: Kept and shown only.
            grant_workspace_access: Accepted for v1's sake; not used.
            subscription_id: Kept and shown only.
            resource_group: Kept and shown only.

        Returns:
            The datastore, an `AzureBlobDatastore`.

        Raises:
            DatastoreException: The name is taken or is none, or the container can't be opened.
        """
        facts = {
            **_account(container_name, account_name, protocol, endpoint),
            "blob_cache_timeout": blob_cache_timeout,
            "subscription_id": subscription_id,
            "resource_group": resource_group,
        }
        saved: Any = cls._register(
            workspace,
            datastore_name,
            "AzureBlob",
            f"abfs://{container_name}@{account_name}.dfs.{facts['endpoint']}",
            facts,
            {"account_key": account_key, "sas_token": sas_token},
            _driver(account_name, facts),
            overwrite,
            look=not skip_validation,
        )
        if create_if_not_exists:
            saved.filesystem.makedirs(saved.locate(""), exist_ok=True)
        made: Self = saved
        return made

    @classmethod
    def register_azure_file_share(
        cls,
        workspace: DatastoreOwner,
        datastore_name: str,
        file_share_name: str,
        account_name: str,
        sas_token: str | None = None,
        account_key: str | None = None,
        protocol: str | None = None,
        endpoint: str | None = None,
        overwrite: bool = False,
        create_if_not_exists: bool = False,
        skip_validation: bool = False,
    ) -> Self:
        """Save a file share as a datastore: `smb://<account>.file.core.windows.net/<share>`.

        Args:
            workspace: The workspace that the datastore will belong to.
            datastore_name: Letters, digits and underscores.
            file_share_name: The file share.
            account_name: The storage account.
            sas_token: Kept as a secret; SMB takes an account key only.
            account_key: Opens the account; kept as a secret.
            protocol: Kept and shown; `https` by default.
            endpoint: The cloud's name, `core.windows.net` by default.
            overwrite: Whether to replace another datastore of that name.
            create_if_not_exists: Accepted for v1's sake; not used: SMB makes no share.
            skip_validation: Whether to save without opening it first.

        Returns:
            The datastore, an `AzureFileDatastore`.

        Raises:
            DatastoreException: The name is taken or is none, or the share can't be opened.
        """
        facts = _account(file_share_name, account_name, protocol, endpoint)
        return cls._register(
            workspace,
            datastore_name,
            "AzureFile",
            f"smb://{account_name}.file.{facts['endpoint']}/{file_share_name}",
            facts,
            {"password": account_key, "sas_token": sas_token},
            {"username": account_name, "encrypt": True},
            overwrite,
            look=not skip_validation,
        )

    @classmethod
    def register_azure_data_lake(
        cls,
        workspace: DatastoreOwner,
        datastore_name: str,
        store_name: str,
        tenant_id: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        resource_url: str | None = None,
        authority_url: str | None = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        overwrite: bool = False,
        grant_workspace_access: bool = False,
    ) -> Self:
        """Save a data lake of the first generation, which Azure has retired, as a datastore: `adl://<store>`.

        Args:
            workspace: The workspace that the datastore will belong to.
            datastore_name: Letters, digits and underscores.
            store_name: The data lake's name.
            tenant_id: The directory of the service principal.
            client_id: The service principal.
            client_secret: Its secret, kept as one.
            resource_url: Kept and shown only.
            authority_url: Kept and shown only.
            subscription_id: Kept and shown only.
            resource_group: Kept and shown only.
            overwrite: Whether to replace another datastore of that name.
            grant_workspace_access: Accepted for v1's sake; not used.

        Returns:
            The datastore, an `AzureDataLakeDatastore`.

        Raises:
            DatastoreException: The name is taken or is none, or the store can't be opened.
        """
        principal = {"tenant_id": tenant_id, "client_id": client_id}
        facts = {
            "store_name": store_name,
            **principal,
            "resource_url": resource_url,
            "authority_url": authority_url,
            "subscription_id": subscription_id,
            "resource_group": resource_group,
        }
        secrets, plain = {"client_secret": client_secret}, {"store_name": store_name, **principal}
        return cls._register(
            workspace, datastore_name, "AzureDataLake", f"adl://{store_name}", facts, secrets, plain, overwrite
        )

    @classmethod
    def register_azure_data_lake_gen2(
        cls,
        workspace: DatastoreOwner,
        datastore_name: str,
        filesystem: str,
        account_name: str,
        tenant_id: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        resource_url: str | None = None,
        authority_url: str | None = None,
        protocol: str | None = None,
        endpoint: str | None = None,
        overwrite: bool = False,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        grant_workspace_access: bool = False,
    ) -> Self:
        """Save a data lake of the second generation as a datastore: `abfs://<file system>@<account>.dfs.core.windows.net`.

        Args:
            workspace: The workspace that the datastore will belong to.
            datastore_name: Letters, digits and underscores.
            filesystem: The file system, which is a container.
            account_name: The storage account.
            tenant_id: The directory of the service principal.
            client_id: The service principal.
            client_secret: Its secret, kept as one.
            resource_url: Kept and shown only.
            authority_url: Kept and shown only.
            protocol: Kept and shown; `https` by default.
            endpoint: The cloud's name, `core.windows.net` by default.
            overwrite: Whether to replace another datastore of that name.
            subscription_id: Kept and shown only.
            resource_group: Kept and shown only.
            grant_workspace_access: Accepted for v1's sake; not used.

        Returns:
            The datastore, an `AzureDataLakeGen2Datastore`.

        Raises:
            DatastoreException: The name is taken or is none, or the file system can't be opened.
        """
        principal = {"tenant_id": tenant_id, "client_id": client_id}
        facts = {
            **_account(filesystem, account_name, protocol, endpoint),
            **principal,
            "resource_url": resource_url,
            "authority_url": authority_url,
            "subscription_id": subscription_id,
            "resource_group": resource_group,
        }
        url = f"abfs://{filesystem}@{account_name}.dfs.{facts['endpoint']}"
        secrets, plain = {"client_secret": client_secret}, {**_driver(account_name, facts), **principal}
        return cls._register(workspace, datastore_name, "AzureDataLakeGen2", url, facts, secrets, plain, overwrite)

    @classmethod
    def register_dbfs(cls, workspace: DatastoreOwner, datastore_name: str) -> Self:
        """Save the file system of a Databricks workspace as a datastore; one of that name is replaced.

        Which workspace, and the token that opens it, are DATABRICKS_HOST and DATABRICKS_TOKEN of whatever process uses it.

        Args:
            workspace: The workspace that the datastore will belong to.
            datastore_name: Letters, digits and underscores.

        Returns:
            The datastore, a `DBFSDatastore`.

        Raises:
            DatastoreException: The name is none.
        """
        return cls._register(workspace, datastore_name, "DBFS", "dbfs://", {}, {}, {}, True, look=False)

    @classmethod
    def register_hdfs(
        cls,
        workspace: DatastoreOwner,
        datastore_name: str,
        protocol: str,
        namenode_address: str,
        hdfs_server_certificate: str | None,
        kerberos_realm: str,
        kerberos_kdc_address: str,
        kerberos_principal: str,
        kerberos_keytab: str | None = None,
        kerberos_password: str | None = None,
        overwrite: bool = False,
    ) -> Self:
        """Save files of a Hadoop cluster as a datastore: `webhdfs://<namenode>`, with Kerberos.

        Args:
            workspace: The workspace that the datastore will belong to.
            datastore_name: Letters, digits and underscores.
            protocol: `http` or `https`.
            namenode_address: The namenode, as `host:port`.
            hdfs_server_certificate: The file of the certificate that the namenode's is checked with.
            kerberos_realm: Kept and shown only; this machine's own Kerberos logs in.
            kerberos_kdc_address: Kept and shown only.
            kerberos_principal: Who logs in.
            kerberos_keytab: Kept and shown only.
            kerberos_password: Kept as a secret.
            overwrite: Whether to replace another datastore of that name.

        Returns:
            The datastore, an `HDFSDatastore`.

        Raises:
            DatastoreException: The name is taken or is none.
        """
        facts = {
            "protocol": protocol,
            "namenode_address": namenode_address,
            "hdfs_server_certificate": hdfs_server_certificate,
            "kerberos_realm": kerberos_realm,
            "kerberos_kdc_address": kerberos_kdc_address,
            "kerberos_principal": kerberos_principal,
            "kerberos_keytab": kerberos_keytab,
        }
        secrets = {"kerberos_password": kerberos_password}
        plain = {
            "kerberos": True,
            "kerb_kwargs": {"principal": kerberos_principal},
            "use_https": protocol == "https",
            "session_cert": hdfs_server_certificate,
        }
        url = f"webhdfs://{namenode_address}"
        return cls._register(workspace, datastore_name, "HDFS", url, facts, secrets, plain, overwrite, look=False)


def _account(container: str, account: str, protocol: str | None, endpoint: str | None) -> dict[str, Any]:
    return {
        "container_name": container,
        "account_name": account,
        "protocol": protocol or "https",
        "endpoint": endpoint or CLOUD,
    }


def _driver(account: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what adlfs is told; it knows the host of accounts in the public cloud itself."""
    host = None if facts["endpoint"] == CLOUD else f"{account}.blob.{facts['endpoint']}"
    return {"account_name": account, "account_host": host}
