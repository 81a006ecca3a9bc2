"""Whose signed results a workspace believes: public keys with roles, each a document of its own on Prefect's server.

`blocks/workspace/workspace_store.py` says which roles a store's results may come from; `store/shared/envelope.py` holds each to it.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import ClassVar, Literal

from pydantic import Field

from stepwell.blocks.server import documents
from stepwell.blocks.system.living import machine
from stepwell.blocks.trust.home_key import HomeKey, home_key, id_of, is_signed_by
from stepwell.errors import StepwellError, UserErrorException, WorkspaceException

Role = Literal["writer", "ci"]
ROLES: tuple[Role, ...] = ("writer", "ci")
_SECONDS = 30.0
_MOST_UNKNOWN = 20
"""Keys that the workspace doesn't know for which Prefect is asked in that time: whoever can write to a datastore can name any number of them."""


class TrustedKeyBlock(documents.DatedBlock, documents.NamedBlock):
    """The public key of a home that signs results of a workspace."""

    _block_type_name: ClassVar[str] = "Stepwell Trusted Key"
    _block_type_slug: ClassVar[str] = "stepwell-trusted-key"
    _description: ClassVar[str] = "The public key of a home, by which others know the results that it shares."
    named_by: ClassVar[tuple[str, ...]] = ("workspace", "key_id")

    workspace: str = Field(description="The workspace whose results it signs.")
    key_id: str = Field(description="The name of the key: the beginning of its digest.")
    public: str = Field(description="The public key, Ed25519, in base64.")
    owner: str = Field(default="", description="Whose home it is, `user@machine`, for people.")
    role: Role = Field(default="writer", description="`ci` where continuous integration runs, else `writer`.")
    revoked: bool = Field(default=False, description="Whether nothing that it signed is believed any more.")


class TrustedKeys:
    """The keys that a workspace knows, and which of them it believes: those of some roles that are not revoked."""

    def __init__(self, workspace: str, roles: Collection[str] = ROLES) -> None:
        self._workspace = workspace
        self._roles = roles
        self._known: dict[str, TrustedKeyBlock] = {}
        self._unknown: set[str] = set()
        self._read_at = -_SECONDS

    def own(self) -> HomeKey:
        """Return this home's key pair, made known to the workspace if it is not."""
        key = home_key()
        if self._find(key.key_id) is None:
            block = TrustedKeyBlock(
                workspace=self._workspace,
                key_id=key.key_id,
                public=key.public,
                owner=machine()["name"],
                created=time.time(),
            )
            documents.save_named(block)
            self._known[key.key_id] = block
        return key

    def owner_of(self, key_id: str) -> str:
        """Return whose key it is, `user@machine`; '' if nobody is known to have it."""
        block = self._find(key_id)
        return block.owner if block else ""

    def are_others(self) -> bool:
        """Return whether the workspace knows keys of other homes than this one; without Prefect's server there may be some."""
        own = {home_key().key_id}
        if not self._known.keys() - own:
            try:
                self._known = {block.key_id: block for block in keys_of(self._workspace)}
            except StepwellError:
                return True
        return bool(self._known.keys() - own)

    def refusal(self, key_id: str, data: bytes, signature: str) -> str:
        """Return why bytes that this key is said to have signed are not believed, in words; '' if they are."""
        refused, block = self.distrust(key_id), self._find(key_id)
        if refused or block is None:
            return refused
        return "" if is_signed_by(block.public, data, signature) else "was damaged or forged"

    def distrust(self, key_id: str) -> str:
        """Return why nothing that this key signs is believed, in words; '' if it is."""
        block = self._find(key_id)
        if block is None or id_of(block.public) != key_id:
            return "is signed with a key that the workspace doesn't know"
        if block.revoked:
            return f"is signed with the revoked key of {block.owner}"
        if block.role not in self._roles:
            return f"is from {block.owner}, and the workspace believes {' and '.join(self._roles)} only"
        return ""

    def _find(self, key_id: str) -> TrustedKeyBlock | None:
        is_old = time.monotonic() - self._read_at > _SECONDS
        if is_old or not (key_id in self._known or key_id in self._unknown or len(self._unknown) >= _MOST_UNKNOWN):
            self._known = {block.key_id: block for block in keys_of(self._workspace)}
            if is_old:
                self._unknown, self._read_at = set(), time.monotonic()
            if key_id not in self._known:
                self._unknown.add(key_id)
        return self._known.get(key_id)


def keys_of(workspace: str) -> list[TrustedKeyBlock]:
    """Return the keys that the workspace knows, the oldest first."""
    return sorted(documents.load_any([TrustedKeyBlock], workspace=workspace), key=lambda block: block.first_saved)


def find_key(workspace: str, which: str) -> TrustedKeyBlock:
    """Return the one key whose id begins like this, or whose owner is this; raise WorkspaceException if there is not one."""
    known = keys_of(workspace)
    found = [block for block in known if which and (block.key_id.startswith(which) or block.owner == which)]
    if len(found) != 1:
        raise WorkspaceException(
            f"{len(found) or 'No'} keys of workspace {workspace!r} are meant by {which!r}",
            {"keys": ", ".join(f"{block.key_id} ({block.owner})" for block in found or known) or "none"},
            "Name one by the beginning of its id.",
        )
    return found[0]


def change_key(workspace: str, which: str, *, role: str | None = None, revoked: bool | None = None) -> TrustedKeyBlock:
    """Give a key a role, revoke it, or believe it again, and return it.

    Results that a revoked key signed are not used by any run that begins from then on.
    """
    if role is not None and role not in ROLES:
        raise UserErrorException(f"There is no role {role!r}", {"roles": ", ".join(ROLES)}, "Choose one of these.")
    block = find_key(workspace, which)
    changed = {"role": block.role if role is None else role, "revoked": block.revoked if revoked is None else revoked}
    block = TrustedKeyBlock(**{**block.model_dump(exclude={"block_type_slug"}), **changed})
    documents.save_named(block)
    return block
