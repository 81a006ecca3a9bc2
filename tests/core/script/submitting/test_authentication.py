"""Logins in a step: they can be made, as v1's scripts do, and give no token."""

import pytest

from stepwell.errors import UserErrorException
from stepwell.script.workspace import public_names


@pytest.mark.parametrize("kind", ["InteractiveLogin", "AzureCli", "ServicePrincipal", "Msi", "Token"])
def test_a_login_is_made_and_gives_no_token(kind: str) -> None:
    login = public_names.find(f"{kind}Authentication")(cloud="AzureCloud")
    with pytest.raises(UserErrorException, match="no token"):
        login.get_authentication_header()
