"""v1's authentication classes: whatever they are given, their header holds the token of this home's owner."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from stepwell.blocks.access.home_token import home_token
from stepwell.blocks.arguments.checked import checked

_SECONDS_GOOD = 3600


class AccessToken(NamedTuple):
    """A token's text, and when to ask for it again, in seconds since 1970."""

    token: str
    expires_on: int

    def __repr__(self) -> str:
        return f"AccessToken(token='***', expires_on={self.expires_on})"


@checked
class _Authentication:
    """The base of v1's authentication classes: none keeps anything, so each is as good as any other."""

    def get_authentication_header(self) -> dict[str, str]:
        """Return the header that a call of the endpoint needs, as in Azure ML SDK v1.

        Returns:
            `{"Authorization": "Bearer ..."}`, with the token of STEPWELL_TOKEN or else of this home.
        """
        return {"Authorization": f"Bearer {home_token()}"}

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """Return the token of STEPWELL_TOKEN or else of this home.

        Args:
            *_scopes: Accepted for v1's sake; not used.
            **_options: Accepted for v1's sake; not used.

        Returns:
            The token, and the time after which to ask again.
        """
        return AccessToken(home_token(), int(time.time()) + _SECONDS_GOOD)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


@checked
class InteractiveLoginAuthentication(_Authentication):
    """v1's login in a browser; here nobody is asked anything.

    Args:
        force: Accepted for v1's sake; not used.
        tenant_id: Accepted for v1's sake; not used.
        cloud: Accepted for v1's sake; not used.
    """

    def __init__(self, force: bool = False, tenant_id: str | None = None, cloud: str | None = None) -> None: ...


@checked
class AzureCliAuthentication(_Authentication):
    """v1's login of the Azure CLI, which is not needed here.

    Args:
        cloud: Accepted for v1's sake; not used.
    """

    def __init__(self, cloud: str | None = None) -> None: ...


@checked
class ServicePrincipalAuthentication(_Authentication):
    """v1's login of a program. Its password is not looked at; set STEPWELL_TOKEN for programs.

    Args:
        tenant_id: Accepted for v1's sake; not used.
        service_principal_id: Accepted for v1's sake; not used.
        service_principal_password: Accepted for v1's sake; neither used nor kept.
        cloud: Accepted for v1's sake; not used.
    """

    def __init__(
        self,
        tenant_id: str | None = None,
        service_principal_id: str | None = None,
        service_principal_password: str | None = None,
        cloud: str = "AzureCloud",
        _enable_caching: bool = True,
    ) -> None: ...


@checked
class MsiAuthentication(_Authentication):
    """v1's login of a machine.

    Args:
        identity_config: Accepted for v1's sake; not used.
        cloud: Accepted for v1's sake; not used.
    """

    def __init__(self, identity_config: dict[str, str] | None = None, cloud: str | None = None) -> None: ...


@checked
class TokenAuthentication(_Authentication):
    """v1's login by tokens of Azure, which mean nothing here: the function that makes them is not called.

    Args:
        get_token_for_audience: Accepted for v1's sake; not called.
        cloud: Accepted for v1's sake; not used.
    """

    def __init__(
        self, get_token_for_audience: Callable[[str], str] | None = None, cloud: str | None = None
    ) -> None: ...
