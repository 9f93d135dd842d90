"""TLS, as a client sees it: whom it trusts, and what it shows of itself."""

import os
from dataclasses import dataclass
from pathlib import Path

import grpc

from gradstream.errors import InvalidArgumentError


@dataclass(frozen=True)
class TLS:
    """How to speak TLS with a server."""

    ca: str | os.PathLike[str] | None = None
    """File with the certificates of the authorities to trust, PEM. Default: those that gRPC brings along."""
    cert: str | os.PathLike[str] | None = None
    """File with the certificate that the client shows, with those that lead to its authority, PEM. Default:
    none."""
    key: str | os.PathLike[str] | None = None
    """File with the key of `cert`, PEM."""

    def __post_init__(self) -> None:
        """Raises InvalidArgumentError for one of `cert` and `key` without the other."""
        if (self.cert is None) != (self.key is None):
            raise _unusable("a client's certificate and its key belong together: give both, or neither")

    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC connects with. Raises InvalidArgumentError for a file that is not there, or no PEM."""
        return grpc.ssl_channel_credentials(
            root_certificates=_content(self.ca),
            private_key=_content(self.key),
            certificate_chain=_content(self.cert),
        )


def _content(file: str | os.PathLike[str] | None) -> bytes | None:
    if file is None:
        return None
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise _unusable(f"cannot read {os.fspath(file)}: {error.strerror}") from error
    # gRPC would take anything, and then find no way to connect.
    if b"-----BEGIN " not in content:
        raise _unusable(f"{os.fspath(file)} holds no certificate or key in PEM")
    return content


def _unusable(message: str) -> InvalidArgumentError:
    return InvalidArgumentError(message, code="INVALID_ARGUMENT", reason="INVALID_TLS")
