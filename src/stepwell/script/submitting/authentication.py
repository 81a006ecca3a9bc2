"""v1's ways to log in, as scripts of steps make them before they open their workspace: there is nobody to log in to."""

from __future__ import annotations

from stepwell.errors import UserErrorException

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn


class _Authentication:
    """Keeps nothing of what it is given."""

    def get_authentication_header(self) -> NoReturn:
        """Raise UserErrorException: a step has no token of the endpoint."""
        raise UserErrorException(
            "A step has no token to call the endpoint with", {}, "Call it where the pipeline is submitted."
        )


class InteractiveLoginAuthentication(_Authentication):
    """v1's login in a browser."""

    def __init__(self, force: bool = False, tenant_id: str | None = None, cloud: str | None = None) -> None: ...


class AzureCliAuthentication(_Authentication):
    """v1's login of the Azure CLI."""

    def __init__(self, cloud: str | None = None) -> None: ...


class ServicePrincipalAuthentication(_Authentication):
    """v1's login of a program."""

    def __init__(
        self,
        tenant_id: str | None = None,
        service_principal_id: str | None = None,
        service_principal_password: str | None = None,
        cloud: str = "AzureCloud",
        _enable_caching: bool = True,
    ) -> None: ...


class MsiAuthentication(_Authentication):
    """v1's login of a machine."""

    def __init__(self, identity_config: dict[str, str] | None = None, cloud: str | None = None) -> None: ...


class TokenAuthentication(_Authentication):
    """v1's login by tokens of Azure."""

    def __init__(
        self, get_token_for_audience: Callable[[str], str] | None = None, cloud: str | None = None
    ) -> None: ...
