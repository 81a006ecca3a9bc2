"""The key pair of this home: what it signs, whoever has its public key can check, and nobody else can make."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from stepwell.blocks.system.home import kept_key


@dataclass(frozen=True)
class HomeKey:
    """An Ed25519 key pair. Its private half never leaves the home."""

    _private: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> str:
        """The public half, 32 bytes in base64."""
        return base64.b64encode(self._private.public_key().public_bytes_raw()).decode()

    @property
    def key_id(self) -> str:
        """The name of the pair: 16 hexadecimal digits of the digest of its public half."""
        return id_of(self.public)

    def sign(self, data: bytes) -> str:
        """Return the signature of the bytes, in base64."""
        return base64.b64encode(self._private.sign(data)).decode()


def home_key() -> HomeKey:
    """Return this home's key pair, made when it is first asked for."""
    return HomeKey(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(kept_key("home.key"))))


def id_of(public: str) -> str:
    """Return the name of the key pair with this public half."""
    return hashlib.sha256(public.encode()).hexdigest()[:16]


def is_signed_by(public: str, data: bytes, signature: str) -> bool:
    """Return whether the owner of the public key signed the bytes; what is no key or no signature proves nothing."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
        key.verify(base64.b64decode(signature, validate=True), data)
    except (ValueError, InvalidSignature):
        return False
    return True
