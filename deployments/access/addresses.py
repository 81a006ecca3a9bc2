"""Addresses of clients: which of them count as one client, and which are those of a trusted proxy."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from stepwell.errors import UserErrorException

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network_of(address: str) -> str:
    """Return what one client can't leave by itself; a text that is no address as it is.

    That is its IPv4 address, its /64 of IPv6, or this machine as a whole, whose users have millions of addresses.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    plain = (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found
    if plain.is_loopback:
        return "loopback"
    return str(plain if plain.version == 4 else ipaddress.ip_network((plain, 64), strict=False))


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return the addresses and networks; raise UserErrorException for a text that is neither."""
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError:
            raise UserErrorException(
                "A proxy is named by its address, or by a network",
                {"proxy": ascii(text)},
                "Write it like `--proxy 127.0.0.1` or `--proxy 10.0.0.0/8`.",
            ) from None
    return tuple(found)


def is_within(address: str, networks: Iterable[Network]) -> bool:
    """Return whether the address is in one of the networks."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(found in network for network in networks)
