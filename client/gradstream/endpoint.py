"""Which server to call, and how: arguments, a profile that is named, the environment, the default profile.

What comes first goes over what follows. The default profile is about its own server: where another
is named, nothing of it is used.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from gradstream.channel import DEFAULT_SERVER, is_local, server_address
from gradstream.errors import InvalidArgumentError
from gradstream.profiles import DEFAULT, Profile, no_profile, read_profile
from gradstream.tls import TLS


@dataclass(frozen=True)
class Endpoint:
    """A server, and how to call it."""

    address: str
    tls: TLS | None = None
    """None: plaintext."""
    token: str | None = field(default=None, repr=False)
    """What says who calls; None when nothing does."""

    @property
    def metadata(self) -> tuple[tuple[str, str | bytes], ...] | None:
        """What goes with each call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else None


def endpoint(
    server: str | None = None,
    tls: TLS | bool | None = None,
    profile: str | None = None,
    token: str | None = None,
) -> Endpoint:
    """The server to call. Raises InvalidArgumentError for what is wrong of the settings.

    tls: how to speak TLS; what it leaves open, and what `True` does, the settings say. `False` for plaintext.
    """
    environment = os.environ.get
    named = profile or (not server and environment("GRADSTREAM_PROFILE")) or ""
    if named and server:
        raise InvalidArgumentError(
            f"a server and the profile {named!r}, which is of a server too: give one of them",
            code="INVALID_ARGUMENT",
            reason="INVALID_PROFILE",
        )
    from_environment = Profile(
        server=environment("GRADSTREAM_SERVER", ""),
        tls_ca=environment("GRADSTREAM_TLS_CA", ""),
        tls_cert=environment("GRADSTREAM_TLS_CERT", ""),
        tls_key=environment("GRADSTREAM_TLS_KEY", ""),
    )
    if named:
        found = read_profile(named)
        if found is None:
            raise no_profile(named)
        sources = [found, from_environment]
    else:
        sources = [from_environment]
        if not (server or from_environment.server) and (default := read_profile(DEFAULT)):
            sources.append(default)
    address = server_address(server or next((each.server for each in sources if each.server), DEFAULT_SERVER))
    if address.startswith("unix"):
        if tls:
            raise InvalidArgumentError(
                f"{address} is a socket of this machine, on which no TLS is spoken: leave it out",
                code="INVALID_ARGUMENT",
                reason="INVALID_TLS",
            )
        return Endpoint(address, token=_token(sources, token, bool(named)))
    found_tls, found_token = _tls(sources, tls), _token(sources, token, bool(named))
    if found_token and not found_tls and not is_local(address):
        raise InvalidArgumentError(
            f"the token would go to {address} without TLS, for everyone on the way to read: speak TLS, with "
            "--tls or --tls-ca, or leave the token away",
            code="INVALID_ARGUMENT",
            reason="INVALID_TOKEN",
        )
    return Endpoint(address, found_tls, found_token)


def token_of(file: str | os.PathLike[str]) -> str:
    """The token in a file. Raises InvalidArgumentError for a file that cannot be read, or is empty."""
    try:
        text = Path(file).read_text().strip()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise _no_token(f"cannot read the token in {os.fspath(file)}: {reason}") from error
    if not text:
        raise _no_token(f"{os.fspath(file)} is empty; it has to hold a token")
    return text


def _token(sources: list[Profile], given: str | None, named: bool) -> str | None:
    """The token that the arguments and the settings say."""
    found = given
    for source in (sources[0], None, *sources[1:]) if named else (None, *sources):
        if found is None:
            if source is None:
                found = os.environ.get("GRADSTREAM_TOKEN") or None
            elif source.token_file:
                found = token_of(source.token_file)
    # gRPC would say of anything else no more than that it is illegal, and show it.
    if found is not None and not (found.isascii() and found.isprintable() and " " not in found):
        raise _no_token("the token is none: it has to be of letters, digits and signs, without spaces")
    return found


def _no_token(message: str) -> InvalidArgumentError:
    return InvalidArgumentError(message, code="INVALID_ARGUMENT", reason="INVALID_TOKEN")


def _tls(sources: list[Profile], given: TLS | bool | None) -> TLS | None:
    """What the arguments and the settings say of TLS; nothing where it is not wanted."""
    argument = given if isinstance(given, TLS) else TLS()
    ca = argument.ca or next((each.tls_ca for each in sources if each.tls_ca), None)
    cert, key = argument.cert, argument.key
    if not cert:
        # A certificate and its key come from one place.
        shown = next((each for each in sources if each.tls_cert or each.tls_key), Profile())
        cert, key = shown.tls_cert or None, shown.tls_key or None
    wanted = bool(ca or cert or key or any(each.tls for each in sources)) if given is None else bool(given)
    return TLS(ca, cert, key) if wanted else None
