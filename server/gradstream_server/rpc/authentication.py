"""Who calls: by a bearer token, or by the certificate that his connection has shown."""

import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any, TypeAlias

import grpc

from gradstream_server.access.principal import Principal, Scope
from gradstream_server.access.tokens import PREFIX, Tokens, parts_of
from gradstream_server.jobs.errors import Unauthenticated

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Identify: TypeAlias = Callable[[], Principal]
"""Tells who calls, as of now; raises Unauthenticated when he is nobody any more."""

_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)
_NAME = re.compile(r"[^\s/]{1,128}")
_HOW = "send `authorization: Bearer TOKEN`, which gradstream does with --token-file or GRADSTREAM_TOKEN"


class Authentication:
    """Tells callers apart."""

    def __init__(self, tokens: Tokens | None, by_certificate: bool, admins: Collection[str]) -> None:
        """
        Args:
            tokens: those that let in; None when none does.
            by_certificate: whether the common name in a client's certificate is who calls. It has the scope
                train; those in `admins` have admin.
        """
        self._tokens = tokens
        self._by_certificate = by_certificate
        self._admins = frozenset(admins)

    def identify(self, context: Context) -> Identify:
        """How to tell who makes a call, as often as it matters.

        Raises:
            Unauthenticated: nothing says who.
        """
        for name, value in context.invocation_metadata() or ():
            if name == "authorization":
                if self._tokens is None:
                    raise Unauthenticated("this server takes no tokens; it knows who calls by certificates")
                match = _BEARER.fullmatch(value.strip()) if isinstance(value, str) else None
                if match is None:
                    raise Unauthenticated(f"`authorization` holds no bearer token; {_HOW}")
                return self._of_token(self._tokens, match[1])
        if self._by_certificate:
            return self._of_certificate(list(context.auth_context().get("x509_common_name", ())))
        raise Unauthenticated(f"this server wants to know who calls; {_HOW}")

    def _of_token(self, tokens: Tokens, text: str) -> Identify:
        identity, secret = parts_of(text)

        def identify() -> Principal:
            token = tokens.current().get(identity)
            if token is None or not token.is_made_with(secret):
                raise Unauthenticated(
                    "the token is none that this server knows: it was revoked, or is of another server, or "
                    f"none at all, for they begin with {PREFIX}; have one made by `gradstream token create`"
                )
            if token.expire_time and token.expire_time <= datetime.now(UTC):
                raise Unauthenticated(
                    f"the token expired on {token.expire_time:%Y-%m-%d at %H:%M} UTC; have one made by "
                    "`gradstream token create`"
                )
            return token.principal

        return identify

    def _of_certificate(self, names: Collection[bytes]) -> Identify:
        name = b"".join(names).decode(errors="replace")
        if not names:
            also = f", or {_HOW}" if self._tokens else ", which gradstream does with --tls-cert and --tls-key"
            raise Unauthenticated(f"no client's certificate tells a common name; show one over TLS{also}")
        if not _NAME.fullmatch(name):
            raise Unauthenticated(
                f"the common name in the client's certificate is {name[:200]!r}; it has to be of at "
                "most 128 characters, without slashes and spaces"
            )
        principal = Principal(name, Scope.ADMIN if name in self._admins else Scope.TRAIN)
        return lambda: principal
