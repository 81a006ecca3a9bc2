"""The process of the HTTP endpoint: `python -m stepwell.deployments.endpoint --help`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import uvicorn
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from stepwell.blocks.server import documents
from stepwell.blocks.server.connection import ensure_server
from stepwell.blocks.workspace.publications import EndpointAddressBlock
from stepwell.deployments.access.addresses import networks
from stepwell.deployments.access.authentication import is_loopback
from stepwell.deployments.endpoint.app import EndpointOptions, create_app
from stepwell.deployments.endpoint.connections import ConnectionLimits, Connections, GuardedProtocol
from stepwell.errors import StepwellError, UserErrorException
from stepwell.flows.public.published_pipeline import ADDRESS_DOCUMENT

_SECONDS_TO_FINISH = 4


def serve(options: EndpointOptions) -> None:
    """Run the endpoint until a signal stops it; raise UserErrorException if other machines could call without token."""
    if not options.with_token and not is_loopback(options.host):
        raise UserErrorException(
            "Without tokens the endpoint may listen on this machine only",
            {"host": options.host},
            "Leave out `--no-token`, or `--host`.",
        )
    ensure_server()
    documents.save(EndpointAddressBlock(url=options.address), ADDRESS_DOCUMENT)
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):  # `with_retries` asks again, and sooner
        uvicorn.run(create_app(options), host=options.host, port=options.port, **server_settings(options.proxies))


def server_settings(proxies: Sequence[str] = (), **limits: Any) -> dict[str, Any]:
    """Return uvicorn's settings; who calls is told by the connection, and by X-Forwarded-For of the proxies alone."""
    connections = Connections(ConnectionLimits(proxies=networks(proxies), **limits))
    return {
        "http": partial(GuardedProtocol, connections),
        "loop": "asyncio",
        "ws": "none",  # would leave the protocol that has the deadlines
        "proxy_headers": bool(proxies),
        "forwarded_allow_ips": [*proxies],
        "access_log": False,  # it would tell queries
        "log_level": "warning",
        "server_header": False,
        "timeout_graceful_shutdown": _SECONDS_TO_FINISH,
    }


def main() -> None:
    """Run the endpoint with the options of the command line; exit with 1 if it can't start."""
    usual = EndpointOptions()
    parser = argparse.ArgumentParser(prog="python -m stepwell.deployments.endpoint", description=__doc__)
    parser.add_argument("--host", default=usual.host, help="where to listen")
    parser.add_argument("--port", default=usual.port, type=int, help="where to listen")
    parser.add_argument("--public-url", default="", help="the address that callers use, if it is another")
    parser.add_argument("--proxy", default=[], action="append", help="a proxy whose X-Forwarded-For is believed")
    parser.add_argument("--no-token", action="store_true", help="let everybody on this machine call")
    parser.add_argument("--rate", default=usual.rate, type=float, help="calls a second for each caller")
    parser.add_argument("--most-waiting", default=usual.most_waiting, type=int, help="how many runs may wait")
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("stepwell.endpoint").setLevel(logging.INFO)
    try:
        serve(
            EndpointOptions(
                given.host,
                given.port,
                given.public_url,
                not given.no_token,
                given.rate,
                given.most_waiting,
                tuple(given.proxy),
            )
        )
    except StepwellError as error:
        print(f"Error: {error.message}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
