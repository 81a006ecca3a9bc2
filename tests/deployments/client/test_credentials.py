"""v1's authentication classes, as v1's code makes and uses them."""

from __future__ import annotations

import inspect
import pickle
import time

import pytest

import stepwell
from stepwell.errors import UserErrorException

TOKEN = f"stw_0123456789ab_{'x' * 43}"
MADE = {
    "InteractiveLoginAuthentication": [{}, {"tenant_id": "t"}, {"force": True, "tenant_id": "t", "cloud": "c"}],
    "AzureCliAuthentication": [{}, {"cloud": "AzureCloud"}],
    "ServicePrincipalAuthentication": [
        {},
        {"tenant_id": "t", "service_principal_id": "s", "service_principal_password": "hunter22"},
        {"tenant_id": "t", "service_principal_id": "s", "service_principal_password": "hunter22", "cloud": "c"},
    ],
    "MsiAuthentication": [{}, {"identity_config": {"client_id": "c"}, "cloud": "c"}],
    "TokenAuthentication": [{}, {"get_token_for_audience": lambda audience: 1 / 0}],
}
CASES = [(name, arguments) for name, each in MADE.items() for arguments in each]


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_each_gives_the_header_of_this_home(monkeypatch, name, arguments):
    monkeypatch.setenv("STEPWELL_TOKEN", TOKEN)
    found = getattr(stepwell, name)(**arguments)
    assert found.get_authentication_header() == {"Authorization": f"Bearer {TOKEN}"}
    access = found.get_token("https://management.azure.com/.default")
    assert access.token == TOKEN and access.expires_on > time.time() + 60
    assert TOKEN not in repr(found) + repr(access) + str(access)


def test_a_password_is_not_kept():
    found = stepwell.ServicePrincipalAuthentication("t", "s", "hunter22")
    assert not vars(found) and b"hunter22" not in pickle.dumps(found) and "hunter22" not in repr(found)


@pytest.mark.parametrize("name", MADE)
def test_none_needs_an_argument_or_takes_an_unknown_one(name):
    kind = getattr(stepwell, name)
    kind()
    if not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(kind).parameters.values()):
        with pytest.raises(UserErrorException, match="takes no argument 'tenant'"):
            kind(tenant="t")


def test_without_a_variable_the_home_has_a_token_that_the_server_knows(server, monkeypatch):
    from stepwell.blocks.access import tokens

    monkeypatch.delenv("STEPWELL_TOKEN", raising=False)
    header = stepwell.InteractiveLoginAuthentication().get_authentication_header()
    token_id, secret = tokens.parsed(header["Authorization"].removeprefix("Bearer "))
    assert tokens.is_valid(tokens.find(token_id), secret, time.time())
