"""Bearer tokens: 256 random bits that say who calls. Of each only a hash is kept.

A password has to be hashed slowly, for it can be guessed. Nobody guesses 256 random bits, so SHA-256 is
enough, and it takes a microsecond.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gradstream_server.access.principal import Principal, Scope

PREFIX = "gst_"
"""How each begins, so that it is known for what it is when it turns up somewhere."""
_ID_BYTES = 8
_SECRET_BYTES = 32


@dataclass(frozen=True)
class Token:
    """What is known of a token, from which it cannot be made."""

    id: str
    principal: Principal
    create_time: datetime
    digest: str
    """SHA-256 of its secret part, in hexadecimal."""
    expire_time: datetime | None = None

    def is_made_with(self, secret: str) -> bool:
        """Whether this is its secret part; that takes as long whatever the secret is."""
        return hmac.compare_digest(self.digest, _digest(secret))


class Tokens(Protocol):
    """Where tokens are kept."""

    def current(self) -> Mapping[str, Token]:
        """All tokens by id, as they are kept now."""
        ...


def make_token(
    name: str, scope: Scope, create_time: datetime, expire_time: datetime | None
) -> tuple[Token, str]:
    """A new token for a principal, and its text, which nobody can tell a second time."""
    identity, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    token = Token(identity, Principal(name, scope), create_time, _digest(secret), expire_time)
    return token, f"{PREFIX}{identity}_{secret}"


def parts_of(text: str) -> tuple[str, str]:
    """The id and the secret part of a token's text; empty for what is none."""
    identity, _, secret = text.removeprefix(PREFIX).partition("_")
    return (identity, secret) if text.startswith(PREFIX) else ("", "")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
