"""Authentication at the endpoint: which principal calls, whether the call is let in, and what its token allows."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from stepwell.blocks.access import tokens
from stepwell.blocks.access.tokens import Action, TokenBlock
from stepwell.deployments.access.http_errors import HttpError
from stepwell.deployments.access.rate_limits import FailedAttempts, RateLimit
from stepwell.deployments.access.registry import SHARED, Registry

_BURST_SECONDS = 4


@dataclass(frozen=True)
class Principal:
    """Who calls. `token` is None where none is asked for. `registry` is what there is at this moment."""

    registry: Registry
    token: TokenBlock | None

    @property
    def name(self) -> str:
        """The token's id, or `open` without one: what tells this principal from others."""
        return self.token.token_id if self.token else "open"

    def may(self, action: Action, names: Iterable[str]) -> bool:
        """Return whether the principal may run, or read, what goes by these names."""
        return self.token is None or tokens.allows(self.token, action, names)

    def require(self, action: Action, names: Iterable[str]) -> None:
        """Raise HttpError with status 403 unless the principal may run, or read, what goes by these names."""
        if not self.may(action, names):
            raise HttpError(403, "Forbidden", f"The token may not {action} this", "Use a token with a wider scope.")


class Authenticator:
    """Lets calls in, or raises HttpError. `host` is where the endpoint listens, `per_second` each principal's rate."""

    def __init__(
        self,
        host: str,
        public_url: str,
        *,
        with_token: bool,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._with_token = with_token
        self._loopback = is_loopback(host)
        self._public = urlsplit(public_url).netloc.lower()
        self._rate = RateLimit(per_second, max(1, round(per_second * _BURST_SECONDS)), clock)
        self._failed_attempts = FailedAttempts(clock=clock)

    def check_origin(self, request: Request) -> None:
        """Raise HttpError for what a browser sends for another site, or after a name was rebound to this machine."""
        host = request.headers.get("host", "").lower()
        if (self._loopback or self._public) and not (is_loopback(_without_port(host)) or host == self._public):
            raise HttpError(
                421, "WrongHost", "The Host header names another machine", "Call the address that was printed."
            )
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() not in (host, self._public or host):
            raise HttpError(403, "WrongOrigin", "Pages of other sites may not call this", "Call from a program.")

    def authenticate(self, request: Request) -> Principal:
        """Return the principal, whose token is in force; raise HttpError with status 401 or 429 if there is none."""
        address = request.client.host if request.client else ""
        principal = Principal(SHARED.get(), None)
        if self._with_token:
            principal = Principal(principal.registry, self._token(request, principal.registry, address))
        wait = self._rate.wait(principal.name if principal.token else address)
        if wait:
            raise HttpError(429, "TooManyRequests", "Too many calls at once", "Wait, then call again.", wait=wait)
        return principal

    def _token(self, request: Request, registry: Registry, address: str) -> TokenBlock:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        token_id, secret = tokens.parsed(text.strip()) or ("", "")
        block = registry.token(token_id)
        if tokens.is_valid(block, secret, time.time()) and scheme.lower() == "bearer" and block is not None:
            return block
        wait = self._failed_attempts.count(address)
        if wait:
            raise HttpError(429, "TooManyRequests", "Too many failed tokens", "Wait, then check the token.", wait=wait)
        raise HttpError(
            401,
            "Unauthorized",
            "A token in force is needed" if not text else "The token is not in force",
            "Send the header `Authorization: Bearer TOKEN`; make one with `stepwell token create`.",
        )


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _without_port(host: str) -> str:
    """Return the name in a Host header."""
    return host.partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def retry_after(seconds: float) -> str:
    """Return the text of a Retry-After header: whole seconds, at least one."""
    return str(max(1, math.ceil(seconds)))
