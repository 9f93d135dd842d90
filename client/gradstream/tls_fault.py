"""Why a connection cannot be made, where TLS is the reason.

gRPC says "Socket closed" of half of it. So once a first call has failed, a handshake is tried by the standard
library, which tells.
"""

import re
import socket
import ssl

from gradstream.endpoint import Endpoint
from gradstream.errors import ServerUnreachableError

_TIMEOUT_S = 2.0
_EXPIRED, _NOT_YET_VALID = 10, 9
_OTHER_NAME = (62, 64)  # of a host, of an IP address
_OPTIONS = "--tls-cert and --tls-key (GRADSTREAM_TLS_CERT and GRADSTREAM_TLS_KEY)"


def tls_fault(endpoint: Endpoint) -> ServerUnreachableError | None:
    """What is wrong, and what to do; None when it is not TLS. Blocks for seconds at most."""
    match = re.fullmatch(r"\[?([^\[\]/]+?)\]?:(\d+)", endpoint.address)
    if match is None:
        return None
    host = match[1]
    try:
        with socket.create_connection((host, int(match[2])), _TIMEOUT_S) as connection:
            reason, text = _handshake(endpoint, connection, host)
    except (OSError, ValueError):
        return None
    if not reason:
        return None
    return ServerUnreachableError(text, code="UNAVAILABLE", reason=reason)


def _handshake(endpoint: Endpoint, connection: socket.socket, host: str) -> tuple[str, str]:
    """The reason and the text of what is wrong; both are empty when nothing is."""
    address, tls = endpoint.address, endpoint.tls
    if tls is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.cert and tls.key:
            context.load_cert_chain(tls.cert, tls.key, password=lambda: "")
    context.set_alpn_protocols(["h2"])
    try:
        with context.wrap_socket(connection, server_hostname=host) as encrypted:
            if tls is None:
                return "TLS_WANTED", (
                    f"the server at {address} speaks TLS, and was called without: name the authority of its "
                    "certificate with --tls-ca or GRADSTREAM_TLS_CA, or say --tls if it is a public one"
                )
            # What the server thinks of the client's certificate it tells after the handshake.
            accepted = encrypted.recv(1)
    except ssl.SSLCertVerificationError as error:
        return _distrust(address, host, error)
    except ssl.SSLError as error:
        if tls is None:
            return "", ""
        if error.reason in ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING"):
            return "TLS_NOT_SPOKEN", (
                f"what answers at {address} speaks no TLS: have it started with --tls-cert and --tls-key, or "
                "leave out what asks for TLS if nobody else is on the way to it"
            )
        accepted = b""
    if accepted:
        return "", ""
    if tls.cert:
        return "CLIENT_CERTIFICATE_REFUSED", (
            f"the server at {address} does not accept the certificate {tls.cert}: it has to be one of an "
            f"authority that the server knows, still valid, and given by {_OPTIONS}"
        )
    return "CLIENT_CERTIFICATE_MISSING", (
        f"the server at {address} wants to see a certificate of the client: give it by {_OPTIONS}"
    )


def _distrust(address: str, host: str, error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    if error.verify_code in _OTHER_NAME:
        return "CERTIFICATE_OF_ANOTHER", (
            f"the certificate of the server at {address} is not for {host!r}: call it by a name that is in "
            "it, or have one made for this name"
        )
    if error.verify_code == _EXPIRED:
        return "CERTIFICATE_EXPIRED", (
            f"the certificate of the server at {address} has expired: who runs the server has to renew it"
        )
    if error.verify_code == _NOT_YET_VALID:
        return "CERTIFICATE_NOT_YET_VALID", (
            f"the certificate of the server at {address} is not valid yet: one of the two clocks is wrong"
        )
    return "CERTIFICATE_UNTRUSTED", (
        f"the certificate of the server at {address} is of an authority that is not trusted here "
        f"({error.verify_message}): name that authority's certificate with --tls-ca or GRADSTREAM_TLS_CA"
    )
