"""v1's arguments of workspaces that mean nothing here: what Azure is to make, and where it is to look."""

from __future__ import annotations

from typing import Any, TypedDict


class V1Create(TypedDict, total=False):
    """Arguments of `Workspace.create`."""

    storage_account: str | None
    key_vault: str | None
    app_insights: str | None
    container_registry: str | None
    adb_workspace: str | None
    primary_user_assigned_identity: str | None
    cmk_keyvault: str | None
    resource_cmk_uri: str | None
    hbi_workspace: bool
    default_cpu_compute_target: Any
    default_gpu_compute_target: Any
    private_endpoint_config: Any
    private_endpoint_auto_approval: bool
    user_assigned_identity_for_cmk_encryption: str | None
    system_datastores_auth_mode: str
    v1_legacy_mode: bool | None


class V1Find(TypedDict, total=False):
    """Arguments of `Workspace.get`, `Workspace.list` and `Workspace.from_config`."""

    cloud: str
    id: str | None
    _logger: Any
    _file_name: str | None
