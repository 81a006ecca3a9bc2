from __future__ import annotations

import pytest

from stepwell.deployments.access.addresses import is_within, networks
from stepwell.errors import UserErrorException


def test_a_proxy_is_an_address_or_a_network():
    found = networks(["127.0.0.1", "10.0.0.0/8", "fd00::/8"])
    assert [is_within(text, found) for text in ("127.0.0.1", "10.1.2.3", "fd00::1")] == [True] * 3
    assert [is_within(text, found) for text in ("127.0.0.2", "11.0.0.1", "fe80::1%eth0", "", "x")] == [False] * 5


@pytest.mark.parametrize("text", ["*", "", "proxy.example", "10.0.0.1/8", "10.0.0.1,10.0.0.2"])
def test_what_is_neither_is_refused(text):
    with pytest.raises(UserErrorException, match="by its address") as caught:
        networks([text])
    assert caught.value.hint
