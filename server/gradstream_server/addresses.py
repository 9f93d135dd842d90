"""Where a server listens: ports of this machine, and sockets in its file system."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

_SOCKET = "unix:"
_EXAMPLES = "HOST:PORT, such as 127.0.0.1:50051, or unix:/PATH; several are separated by commas"


@dataclass(frozen=True)
class Address:
    """One place to listen."""

    text: str
    """As gRPC takes it."""

    @property
    def socket(self) -> str:
        """The path of a unix socket; empty for a port."""
        return self.text.removeprefix(_SOCKET) if self.text.startswith(_SOCKET) else ""

    @property
    def host(self) -> str:
        """The host of a port, with the brackets of IPv6."""
        return self.text.rpartition(":")[0]

    @property
    def is_local(self) -> bool:
        """Whether nobody beyond this machine reaches it."""
        if self.socket or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False  # a name: who knows what it stands for


def read_addresses(text: str) -> Sequence[Address]:
    """The addresses that a setting names.

    Raises:
        ValueError: one is none; the text says which.
    """
    addresses = [Address(each.strip()) for each in text.split(",")]
    for address in addresses:
        if address.socket.startswith("/"):
            continue
        match = re.fullmatch(r"(?!unix:)(\[[^\[\]]+\]|[^:\s]+):(\d{1,5})", address.text)
        if match is None or int(match[2]) > 65535:
            raise ValueError(f"{address.text!r}; it has to be {_EXAMPLES}")
    return addresses
