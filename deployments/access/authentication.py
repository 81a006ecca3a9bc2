"""Authentication at the endpoint: which principal calls, whether the call is let in, and what its token allows."""

from __future__ import annotations

import ipaddress
import math
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from stepwell.blocks.access import tokens
from stepwell.blocks.access.tokens import Action, TokenBlock
from stepwell.deployments.access.addresses import network_of
from stepwell.deployments.access.http_errors import BadRequest, HttpError
from stepwell.deployments.access.rate_limits import FailedAttempts, RateLimit
from stepwell.deployments.access.registry import SHARED, Registry

_BURST_SECONDS = 4
_SECONDS_KNOWN = 2.0
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")


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
        found = _HOST.fullmatch(host)
        if host and not found:
            raise BadRequest(
                400, "Host", "The Host header is no name with a port", "Call the address that was printed."
            )
        name = found["name"] if found else ""
        if (self._loopback or self._public) and not (is_loopback(name) or host == self._public):
            raise HttpError(
                421, "WrongHost", "The Host header names another machine", "Call the address that was printed."
            )
        origin = request.headers.get("origin")
        if origin is not None and (_netloc(origin) or "?") not in (host, self._public or host):
            raise HttpError(403, "WrongOrigin", "Pages of other sites may not call this", "Call from a program.")

    def authenticate(self, request: Request) -> Principal:
        """Return the principal, whose token is in force; raise HttpError with status 401 or 429 if there is none."""
        address = request.client.host if request.client else ""
        if not self._with_token:
            self._slow_down(network_of(address))
            return Principal(SHARED.get(), None)
        token_id, secret = self._offered(request, address)
        registry = SHARED.get()
        block = registry.token(token_id)
        if block is None or not tokens.is_valid(block, secret, time.time()):
            raise self._failed(address, "The token is not in force")
        self._slow_down(block.token_id)
        return Principal(registry, block)

    def _offered(self, request: Request, address: str) -> tuple[str, str]:
        """Return the id and secret that are worth a look at the registry; raise HttpError for others."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        offered = tokens.parsed(text.strip()) if scheme.lower() == "bearer" else None
        if offered is None:
            raise self._failed(address, "The token is not in force" if text else "A token in force is needed")
        wait = self._failed_attempts.wait(address)
        # Who guesses at an address must not lock out its other users: tokens that were there a moment ago are looked at.
        known = SHARED.recent(_SECONDS_KNOWN) if wait else None
        if known and not tokens.is_valid(known.token(offered[0]), offered[1], time.time()):
            raise _too_many_failures(wait)
        return offered

    def _failed(self, address: str, title: str) -> HttpError:
        """Count a failed attempt, and return the error to raise."""
        wait = self._failed_attempts.count(address)
        hint = "Send the header `Authorization: Bearer TOKEN`; make one with `stepwell token create`."
        return _too_many_failures(wait) if wait else HttpError(401, "Unauthorized", title, hint)

    def _slow_down(self, principal: str) -> None:
        wait = self._rate.wait(principal)
        if wait:
            raise HttpError(429, "TooManyRequests", "Too many calls at once", "Wait, then call again.", wait=wait)


def _too_many_failures(wait: float) -> HttpError:
    return HttpError(429, "TooManyRequests", "Too many failed tokens", "Wait, then check the token.", wait=wait)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _netloc(url: str) -> str:
    """Return the name and port in an Origin header, '' if it has none."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def retry_after(seconds: float) -> str:
    """Return the text of a Retry-After header: whole seconds, at least one."""
    return str(max(1, math.ceil(seconds)))
