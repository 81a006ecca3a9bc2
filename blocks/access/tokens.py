"""Bearer tokens for the HTTP endpoint: saved as Prefect blocks that hold digests only, scoped, expiring and revocable."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets
import time
from collections.abc import Iterable
from typing import ClassVar, Literal

from prefect.blocks.core import Block
from pydantic import Field, ValidationError

from stepwell.blocks.server import documents
from stepwell.errors import UserErrorException

Action = Literal["run", "read"]

_SHAPE = re.compile(r"stw_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_DUMMY_DIGEST = "0" * 64
_LONGEST_LABEL = 100
_MOST_DAYS = 36500
_SECONDS_A_DAY = 86400


class TokenBlock(Block):
    """A token's owner and rights at the endpoint: all of it but its secret, of which only the digest is kept."""

    _block_type_name: ClassVar[str] = "Stepwell Token"
    _block_type_slug: ClassVar[str] = "stepwell-token"
    _description: ClassVar[str] = "A bearer token for Stepwell's HTTP endpoint; made and revoked by `stepwell token`."

    token_id: str = Field(description="The part of the token that names it.")
    label: str = Field(description="Whose it is, or what for.")
    digest: str = Field(description="The SHA-256 of the secret part.", repr=False)
    run: bool = Field(default=True, description="Whether it may start and cancel runs.")
    read: bool = Field(default=True, description="Whether it may see pipelines, runs and outputs.")
    endpoints: list[str] = Field(
        default=[], description="Names, `workspace/name`s or ids that it is limited to; empty: all."
    )
    created: float = Field(description="When it was made, in seconds since 1970.")
    expires: float | None = Field(default=None, description="When it ends, in seconds since 1970.")
    revoked: float | None = Field(default=None, description="When it was revoked, in seconds since 1970.")


# What is saved --------------------------------------------------------------------------------------------------------


def create(
    label: str, *, run: bool = True, read: bool = True, endpoints: Iterable[str] = (), days: float | None = None
) -> tuple[TokenBlock, str]:
    """Save the block of a new token, and return it with the token's text, which is kept nowhere."""
    names = list(endpoints)
    _check(label, names, days)
    if not (run or read):
        raise UserErrorException(
            "A token that may neither run nor read is good for nothing", {"label": label}, "Allow one of the two."
        )
    token_id, secret, now = secrets.token_hex(6), secrets.token_urlsafe(32), time.time()
    block = TokenBlock(
        token_id=token_id,
        label=label,
        digest=_digest(secret),
        run=run,
        read=read,
        endpoints=names,
        created=now,
        expires=None if days is None else now + days * _SECONDS_A_DAY,
    )
    documents.save(block, _document(token_id))
    return block, f"stw_{token_id}_{secret}"


def find(token_id: str) -> TokenBlock | None:
    """Return the block of the token with that id; None if there is none that can be read."""
    try:
        return documents.load(TokenBlock, _document(token_id)) if re.fullmatch("[0-9a-f]{12}", token_id) else None
    except ValidationError:
        return None


def listed() -> list[TokenBlock]:
    """Return every token's block, the oldest first."""
    return sorted(documents.load_any([TokenBlock]), key=lambda block: (block.created, block.token_id))


def revoke(token_id_or_label_prefix: str) -> TokenBlock:
    """Revoke the token with that id, or the one whose label so begins, and return its block."""
    block = _find_one(token_id_or_label_prefix)
    if block.revoked is None:
        block = block.model_copy(update={"revoked": time.time()})
        documents.save(block, _document(block.token_id))
    return block


# What is decided ------------------------------------------------------------------------------------------------------


def parsed(text: str) -> tuple[str, str] | None:
    """Return the id and the secret of a token's text; None if it is not one."""
    match = _SHAPE.fullmatch(text)
    return (match[1], match[2]) if match else None


def is_valid(block: TokenBlock | None, secret: str, now: float) -> bool:
    """Return whether the secret is the block's, which is in force; even without a block, a comparison is made."""
    kept = block.digest if block else _DUMMY_DIGEST
    same = hmac.compare_digest(kept.encode(), _digest(secret).encode())
    return same and block is not None and is_in_force(block, now)


def is_in_force(block: TokenBlock, now: float) -> bool:
    """Return whether the token is neither revoked nor expired."""
    return block.revoked is None and (block.expires is None or now < block.expires)


def allows(block: TokenBlock, action: Action, names: Iterable[str]) -> bool:
    """Return whether the token's scope covers the action at the endpoint that goes by any of these names and ids."""
    allowed = block.run if action == "run" else block.read
    return allowed and (not block.endpoints or not set(block.endpoints).isdisjoint(names))


# Details --------------------------------------------------------------------------------------------------------------


def _digest(secret: str) -> str:
    # A fast digest is enough: a secret of 256 random bits can't be guessed, however often one tries.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _document(token_id: str) -> str:
    return f"token-{token_id}"


def _check(label: str, names: Iterable[str], days: float | None) -> None:
    if not _is_line(label) or len(label) > _LONGEST_LABEL:
        hint = f"Write one line of at most {_LONGEST_LABEL} characters that says what the token is for."
        raise UserErrorException("A token can't have this label", {"label": ascii(label)}, hint)
    for name in names:
        if not _is_line(name):
            raise UserErrorException(
                "A token can't be limited to this endpoint", {"endpoint": ascii(name)}, "Give its name or its id."
            )
    if days is not None and not (math.isfinite(days) and 0 < days <= _MOST_DAYS):
        hint = f"Choose more than none and at most {_MOST_DAYS}, or no limit."
        raise UserErrorException("A token can't last for so many days", {"days": days}, hint)


def _is_line(text: str) -> bool:
    return bool(text) and text == text.strip() and text.isprintable()


def _find_one(word: str) -> TokenBlock:
    """Return the one block that the word means; among equals, the one that is still in force."""
    whole = parsed(word)  # somebody who has only the token at hand may revoke it, but no error repeats it
    wanted = whole[0] if whole else word
    known = listed()
    found = [block for block in known if block.token_id == wanted] or [block for block in known if block.label == word]
    found = found or [block for block in known if word and block.label.startswith(word)]
    found = [block for block in found if is_in_force(block, time.time())] if len(found) > 1 else found
    if len(found) == 1:
        return found[0]
    facts = {block.token_id: block.label for block in found} or {"asked for": ascii(wanted)}
    raise UserErrorException(
        "Several tokens are meant" if found else "There is no such token in force",
        facts,
        "Name one by its id." if found else "List the tokens with `stepwell token list`.",
    )
