"""Ports for programs that can't choose one themselves, free until they listen."""

from __future__ import annotations

import random
import socket

_PORTS = range(30_000, 32_768)
"""Above those that Stepwell's own servers take, below those that the kernel hands out."""

_claims: list[socket.socket] = []


def port_for_later() -> int:
    """Return a port that neither the kernel nor another process of tests takes for as long as this one lives."""
    for port in random.sample(_PORTS, len(_PORTS)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0stepwell test port {port}")
            with socket.create_server(("127.0.0.1", port)):
                pass
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return port
    raise AssertionError("no port is free")
