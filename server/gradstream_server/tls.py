"""The server's certificate and key, and whose clients' it accepts: read anew when the files change."""

import logging
import ssl
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import grpc

_logger = logging.getLogger(__name__)


class TlsError(Exception):
    """Files of TLS cannot be used; the text says which, why and what to do."""


class Certificates:
    """What the server shows of itself, and by which authorities it knows clients."""

    def __init__(self, cert: Path, key: Path, client_ca: Path | None = None) -> None:
        """
        Args:
            cert, key: PEM; the certificate with those that lead to its authority, and its private key.
            client_ca: PEM; the authorities that sign the certificates of clients, who have to have one then.

        Raises:
            TlsError: they cannot be used.
        """
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._lock = Lock()
        self._stamp = self._look()
        self._current = self._read()

    def credentials(self) -> grpc.ServerCredentials:
        """What gRPC listens with. Connections that are open stay as they are when the files change."""
        return grpc.dynamic_ssl_server_credentials(
            self._current,
            self._changed,  # type: ignore[arg-type]  # None says that nothing has changed
            require_client_authentication=self._client_ca is not None,
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """What the files say, if that is something new. gRPC asks at each connection, in any thread."""
        with self._lock:
            stamp = self._look()
            if stamp == self._stamp:
                return None
            self._stamp = stamp
            try:
                self._current = self._read()
            except TlsError as error:
                # Both files are not replaced at once; and an operator's slip is to lock nobody out.
                _logger.warning("the certificate of before is used on", extra={"reason": str(error)})
                return None
            _logger.info("the certificate was read anew", extra={"cert": str(self._cert)})
            return self._current

    def _look(self) -> Sequence[object]:
        """What changes when a file does."""
        stamps: list[object] = []
        for path in self._files:
            try:
                found = path.stat()
                stamps.append((found.st_ino, found.st_mtime_ns, found.st_size))
            except OSError as error:
                stamps.append(error.errno)
        return stamps

    def _read(self) -> grpc.ServerCertificateConfiguration:
        try:
            contents = [path.read_bytes() for path in self._files]
        except OSError as error:
            raise TlsError(f"cannot read {error.filename}: {error.strerror}") from error
        # gRPC takes anything, and then fails each handshake.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self._cert, self._key, password=_no_password)
        except (ssl.SSLError, OSError) as error:
            raise TlsError(
                f"{self._cert} and {self._key} are no certificate and its key, in PEM and without a "
                f"password: {_reason(error)}"
            ) from error
        if self._client_ca:
            try:
                context.load_verify_locations(self._client_ca)
            except (ssl.SSLError, OSError) as error:
                raise TlsError(
                    f"{self._client_ca} holds no certificates of authorities in PEM: {_reason(error)}"
                ) from error
        cert, key, *client_ca = contents
        return grpc.ssl_server_certificate_configuration(
            [(key, cert)], root_certificates=client_ca[0] if client_ca else None
        )

    @property
    def _files(self) -> Sequence[Path]:
        return [self._cert, self._key, *([self._client_ca] if self._client_ca else [])]


def _no_password() -> str:
    return ""  # else OpenSSL asks for one on the terminal


def _reason(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    return str(reason).lower().replace("_", " ")
