"""Certificates for tests, of an authority that is made for them."""

from datetime import UTC, datetime
from pathlib import Path

import trustme

LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


class Authority:
    """An authority, and what it signs, as PEM files in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._authority = trustme.CA()
        self.file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def issue(
        self, *names: str, common_name: str | None = None, until: datetime | None = None
    ) -> tuple[Path, Path]:
        """A certificate for some names, and its key."""
        issued = self._authority.issue_cert(*names, common_name=common_name, not_after=until)
        count = len(list(self._folder.iterdir()))
        cert, key = self._folder / f"{count}.pem", self._folder / f"{count}.key"
        issued.private_key_pem.write_to_path(str(key))
        cert.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
        return cert, key
