"""The token of this home's owner: with it the command line and v1's code call the endpoint without being set up first."""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from stepwell.blocks.access import tokens
from stepwell.blocks.server.connection import ensure_server
from stepwell.blocks.system.files import write_atomically
from stepwell.blocks.system.home import home
from stepwell.blocks.system.locks import exclusive
from stepwell.errors import StepwellError, UserErrorException

VARIABLE = "STEPWELL_TOKEN"


def home_token() -> str:
    """Return the token that STEPWELL_TOKEN holds, else this home's for the server in force, made if there is none."""
    named = os.environ.get(VARIABLE, "").strip()
    if named:
        if tokens.parsed(named) is None:
            hint = "Set it to a token as `stepwell token create` printed it, or unset it."
            raise UserErrorException(f"{VARIABLE} holds no token.", hint=hint)
        return named
    server, path = _without_password(ensure_server()), home() / "token"
    return _valid_token(path, server) or _create_token(path, server)


def _valid_token(path: Path, server: str) -> str | None:
    """Return a token of the file that the server in force accepts; this home's own may have had another port before."""
    known = _read(path)
    own = known.get(server)
    candidates = dict.fromkeys([own, *known.values()] if own else known.values())
    return next((token for token in candidates if _is_accepted(token)), None)


def _is_accepted(token: str) -> bool:
    parts = tokens.parsed(token)
    return parts is not None and tokens.is_valid(tokens.find(parts[0]), parts[1], time.time())


def _create_token(path: Path, server: str) -> str:
    with exclusive(path.with_name("token.lock")):
        kept = _valid_token(path, server)  # another process may have been faster
        if kept:
            return kept
        block, token = tokens.create(_label())
        try:
            _write(path, {**_read(path), server: token})
        except BaseException:
            tokens.revoke(block.token_id)
            raise
        return token


def _read(path: Path) -> dict[str, str]:
    """Return the tokens by server; none if there is no file, or one that holds something else."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        return {}
    except OSError as error:
        hint = f"Give yourself the right to read it, or set {VARIABLE}."
        raise StepwellError("This home's token can't be read.", {"file": path, "reason": error}, hint) from None
    items = found.items() if isinstance(found, dict) else ()
    return {server: token for server, token in items if isinstance(token, str)}


def _write(path: Path, by_server: dict[str, str]) -> None:
    try:
        write_atomically(path, json.dumps(by_server, indent=1).encode() + b"\n", durable=True, private=True)
    except OSError as error:
        hint = f"Set STEPWELL_HOME to a folder that you can write to, or set {VARIABLE}."
        raise StepwellError("This home's token can't be kept.", {"file": path, "reason": error}, hint) from None


def _label() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user id without a name
        user = str(os.getuid())
    text = f"home of {user} on {socket.gethostname()}"
    return "".join(character for character in text if character.isprintable())[:100].strip()


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
