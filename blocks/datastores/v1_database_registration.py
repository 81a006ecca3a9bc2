"""v1's ways to register databases, by their URLs of SQLAlchemy."""

from __future__ import annotations

from typing import Any, Self

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datastores.v1_registration import DatastoreOwner, Registration


@checked
class DatabaseRegistration(Registration):
    """v1's methods of `Datastore` for databases."""

    @classmethod
    def register_azure_sql_database(
        cls,
        workspace: DatastoreOwner,
        datastore_name: str,
        server_name: str,
        database_name: str,
        tenant_id: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        resource_url: str | None = None,
        authority_url: str | None = None,
        endpoint: str | None = None,
        overwrite: bool = False,
        username: str | None = None,
        password: str | None = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        grant_workspace_access: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Save a database of Azure SQL as a datastore: `mssql+pyodbc://<server>.database.windows.net/<database>`.

        Args:
            workspace: The workspace that the datastore will belong to.
            datastore_name: Letters, digits and underscores.
            server_name: The server, as a name or with its domain.
            database_name: The database.
            tenant_id: The directory of a service principal; kept and shown only.
            client_id: A service principal, which logs in where no user does.
            client_secret: Its secret, kept as one.
            resource_url: Kept and shown only.
            authority_url: Kept and shown only.
            endpoint: The servers' domain, `database.windows.net` by default.
            overwrite: Whether to replace another datastore of that name.
            username: The user of the database.
            password: The user's password; kept as a secret.
            subscription_id: Kept and shown only.
            resource_group: Kept and shown only.
            grant_workspace_access: Accepted for v1's sake; not used.
            **kwargs: v1's further arguments, such as `skip_validation`; not used.

        Returns:
            The datastore, an `AzureSqlDatabaseDatastore`.

        Raises:
            DatastoreException: The name is taken or is none.
        """
        facts = {
            **_server(server_name, database_name, endpoint or "database.windows.net"),
            "tenant_id": tenant_id,
            "client_id": client_id,
            "resource_url": resource_url,
            "authority_url": authority_url,
            "username": username,
            "subscription_id": subscription_id,
            "resource_group": resource_group,
        }
        login = "" if username or not client_id else "&Authentication=ActiveDirectoryServicePrincipal"
        url = f"mssql+pyodbc://{facts['host']}:1433/{database_name}?driver=ODBC+Driver+18+for+SQL+Server{login}"
        secrets = {"password": password or (client_secret if login else None), "client_secret": client_secret}
        plain = {"username": username or client_id}
        return cls._register(workspace, datastore_name, "AzureSqlDatabase", url, facts, secrets, plain, overwrite)

    @classmethod
    def register_azure_postgre_sql(
        cls,
        workspace: DatastoreOwner,
        datastore_name: str,
        server_name: str,
        database_name: str,
        user_id: str,
        user_password: str,
        port_number: int | str | None = None,
        endpoint: str | None = None,
        overwrite: bool = False,
        enforce_ssl: bool = True,
        **kwargs: Any,
    ) -> Self:
        """Save a database of PostgreSQL as a datastore: `postgresql://<server>.postgres.database.azure.com/<database>`.

        Args:
            workspace: The workspace that the datastore will belong to.
            datastore_name: Letters, digits and underscores.
            server_name: The server, as a name or with its domain.
            database_name: The database.
            user_id: The user of the database.
            user_password: The user's password; kept as a secret.
            port_number: The server's port, 5432 by default.
            endpoint: The servers' domain, `postgres.database.azure.com` by default.
            overwrite: Whether to replace another datastore of that name.
            enforce_ssl: Whether the connection has to be encrypted.
            **kwargs: v1's further arguments; not used.

        Returns:
            The datastore, an `AzurePostgreSqlDatastore`.

        Raises:
            DatastoreException: The name is taken or is none.
        """
        facts = {
            **_server(server_name, database_name, endpoint or "postgres.database.azure.com"),
            "user_id": user_id,
            "port_number": port_number or 5432,
            "enforce_ssl": enforce_ssl,
        }
        ssl = "?sslmode=require" if enforce_ssl else ""
        url = f"postgresql://{facts['host']}:{facts['port_number']}/{database_name}{ssl}"
        secrets, plain = {"password": user_password}, {"username": user_id}
        return cls._register(workspace, datastore_name, "AzurePostgreSql", url, facts, secrets, plain, overwrite)

    @classmethod
    def register_azure_my_sql(
        cls,
        workspace: DatastoreOwner,
        datastore_name: str,
        server_name: str,
        database_name: str,
        user_id: str,
        user_password: str,
        port_number: int | str | None = None,
        endpoint: str | None = None,
        overwrite: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Save a database of MySQL as a datastore: `mysql+pymysql://<server>.mysql.database.azure.com/<database>`.

        Args:
            workspace: The workspace that the datastore will belong to.
            datastore_name: Letters, digits and underscores.
            server_name: The server, as a name or with its domain.
            database_name: The database.
            user_id: The user of the database.
            user_password: The user's password; kept as a secret.
            port_number: The server's port, 3306 by default.
            endpoint: The servers' domain, `mysql.database.azure.com` by default.
            overwrite: Whether to replace another datastore of that name.
            **kwargs: v1's further arguments; not used.

        Returns:
            The datastore, an `AzureMySqlDatastore`.

        Raises:
            DatastoreException: The name is taken or is none.
        """
        facts = {
            **_server(server_name, database_name, endpoint or "mysql.database.azure.com"),
            "user_id": user_id,
            "port_number": port_number or 3306,
        }
        url = f"mysql+pymysql://{facts['host']}:{facts['port_number']}/{database_name}"
        secrets, plain = {"password": user_password}, {"username": user_id}
        return cls._register(workspace, datastore_name, "AzureMySql", url, facts, secrets, plain, overwrite)


def _server(server: str, database: str, domain: str) -> dict[str, Any]:
    host = server if "." in server else f"{server}.{domain}"
    return {"server_name": server, "database_name": database, "endpoint": domain, "host": host}
