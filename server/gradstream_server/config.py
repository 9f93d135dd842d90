"""The configuration: what an operator may choose, checked once at the start."""

import math
import os
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from gradstream_server.addresses import Address, read_addresses
from gradstream_server.jobs.limits import Limits

_LIMITS = Limits()


class ConfigError(ValueError):
    """A setting is out of range; the text names it and what is allowed."""


def _setting(default: Any, help_text: str, metavar: str | None = None) -> Any:
    """A field with what `gradstream serve --help` says of it."""
    return field(default=default, metadata={"help": help_text, "metavar": metavar})


def default_data_dir() -> Path:
    """Where a server keeps what it has, unless it is told otherwise."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "gradstream"


def _default_workers() -> int:
    return max(1, min(4, os.cpu_count() or 1))


@dataclass(frozen=True)
class ServerConfig:
    """What an operator may choose. Flags go over the environment, that over a file, that over defaults."""

    address: str = _setting(
        "127.0.0.1:50051",
        "Where to listen: HOST:PORT (port 0 is any free one) or unix:/PATH; several with commas between.",
        "ADDRESS",
    )
    # The client's settings have the plain names in the environment.
    tls_cert: Path | None = field(
        default=None,
        metadata={
            "help": "Serve with TLS, and show this certificate: PEM, with those that lead to its authority. "
            "It is read anew when the file changes.",
            "metavar": "FILE",
            "env": "GRADSTREAM_SERVE_TLS_CERT",
        },
    )
    tls_key: Path | None = field(
        default=None,
        metadata={
            "help": "The key of --tls-cert, PEM.",
            "metavar": "FILE",
            "env": "GRADSTREAM_SERVE_TLS_KEY",
        },
    )
    tls_client_ca: Path | None = field(
        default=None,
        metadata={
            "help": "Let in only who has a certificate of one of these authorities, PEM.",
            "metavar": "FILE",
            "env": "GRADSTREAM_SERVE_TLS_CLIENT_CA",
        },
    )
    insecure: bool = _setting(False, "Serve others than this machine without TLS.")
    auth: str = _setting(
        "none",
        "How callers are told apart: none (everybody may do everything), tokens (see `gradstream token`), "
        "mtls (by the common name in their certificates), or tokens,mtls.",
        "HOW",
    )
    admins: str = _setting(
        "",
        "Names in certificates, with commas between, that have the scope admin; others have train.",
        "NAMES",
    )
    audit_log: Path | None = field(
        default=None,
        metadata={
            "help": "Where each call that changes something is told, when callers are told apart: a line of "
            "JSON each.  [default: stderr]",
            "metavar": "FILE",
        },
    )
    reflection: bool = _setting(True, "Whether the server tells everybody its contract.")
    data_dir: Path = field(
        default_factory=default_data_dir,
        metadata={"help": "Where jobs, logs and data are kept. One server at a time.", "metavar": "DIR"},
    )
    workers: int = field(
        default_factory=_default_workers,
        metadata={"help": "Processes that train, and so jobs that run at once. At least 1.", "metavar": "N"},
    )
    threads: int = _setting(0, "Threads that each worker computes with; 0 shares the cores out evenly.", "N")
    max_epochs: int = _setting(_LIMITS.max_epochs, "Epochs that a job may ask for.", "N")
    max_data_bytes: int = _setting(
        _LIMITS.max_data_bytes, "Bytes of data that may travel with a spec.", "BYTES"
    )
    max_dataset_bytes: int = _setting(
        _LIMITS.max_dataset_bytes, "Bytes of a file that is uploaded, and of the table in it.", "BYTES"
    )
    max_matrix_bytes: int = _setting(
        32 << 30,
        "Disk that matrices made of data sets may take; those not used for longest make room.",
        "BYTES",
    )
    max_uploads: int = _setting(_LIMITS.max_uploads, "Files that may be on their way here at once.", "N")
    keep_uploads: float = _setting(
        86_400.0, "How long an upload is kept that has broken off, to be gone on with.", "SECONDS"
    )
    max_parameters: int = _setting(_LIMITS.max_parameters, "Numbers that a model may have.", "N")
    max_queued_jobs: int = _setting(_LIMITS.max_queued_jobs, "Jobs that may wait; one more is refused.", "N")
    max_watches: int = _setting(_LIMITS.max_watches, "Streams that may be open; one more is refused.", "N")
    max_job_memory_bytes: int = _setting(
        _LIMITS.max_job_memory_bytes, "Memory that a job may take beside its worker's own; 0: any.", "BYTES"
    )
    max_job_seconds: float = _setting(
        _LIMITS.max_job_seconds, "How long a job may run; 0: as long as it takes.", "SECONDS"
    )
    max_restarts: int = _setting(3, "How often a job goes on after the death of its worker.", "N")
    checkpoint_interval: float = _setting(1.0, "Time between two checkpoints of a job that runs.", "SECONDS")
    durability: str = _setting(
        "power",
        "What every event survives: power (a power cut, too) or process (the death of the server; "
        "after a power cut the newest may be missing).",
        "WHAT",
    )
    stop_grace: float = _setting(
        5.0, "Time for a trainer to end its epoch when its job is stopped, before it is killed.", "SECONDS"
    )
    disconnect_grace: float = _setting(
        10.0, "How long nobody may watch a job that is to be cancelled on disconnect.", "SECONDS"
    )
    heartbeat: float = _setting(5.0, "Idle time of a stream before it carries a heartbeat.", "SECONDS")
    keep_ended: float = _setting(0.0, "How long jobs are kept that have ended; 0: for ever.", "SECONDS")
    log_level: str = _setting("info", "Least severe logs to write: debug, info, warning or error.", "LEVEL")
    log_format: str = _setting("text", "Form of the logs on stderr: text or json.", "FORMAT")

    def __post_init__(self) -> None:
        self._check_addresses()
        self._check_auth()
        for name in (
            "workers",
            "max_matrix_bytes",
            *(limit.name for limit in fields(Limits) if hasattr(self, limit.name)),
        ):
            if name not in _FROM_ZERO and getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be at least 1")
        if self.max_data_bytes > _MAX_DATA_BYTES:
            raise ConfigError(
                f"max_data_bytes is {self.max_data_bytes}; gRPC carries at most {_MAX_DATA_BYTES}"
            )
        for name in _FROM_ZERO:
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be at least 0")
        for name in ("checkpoint_interval", "heartbeat", "keep_uploads"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be above 0")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}; it has to be one of {', '.join(allowed)}"
                )

    def _check_addresses(self) -> None:
        try:
            addresses = read_addresses(self.address)
        except ValueError as error:
            raise ConfigError(f"address is {error}") from error
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ConfigError("tls_cert and tls_key belong together: give both")
        if self.tls_client_ca and not self.tls_cert:
            raise ConfigError(
                "tls_client_ca needs tls_cert and tls_key: clients show certificates over TLS alone"
            )
        for address in addresses:
            if not (self.tls_cert or address.is_local or self.insecure):
                raise ConfigError(
                    f"address is {address.text!r}, which others than this machine may reach, and without TLS "
                    "everyone on the way reads and changes what is sent: give --tls-cert and --tls-key, or "
                    "listen on 127.0.0.1 or unix:/PATH, or take that upon yourself with --insecure"
                )

    def _check_auth(self) -> None:
        ways = self.auth_ways
        if not ways <= {"tokens", "mtls"}:
            raise ConfigError(f"auth is {self.auth!r}; it has to be none, tokens, mtls or tokens,mtls")
        if "mtls" in ways and not self.tls_client_ca:
            raise ConfigError(
                "auth mtls needs tls_client_ca: the authorities that sign certificates of clients"
            )
        if self.admins and "mtls" not in ways:
            raise ConfigError("admins names certificates, and needs auth mtls; tokens have their own scopes")

    @property
    def auth_ways(self) -> AbstractSet[str]:
        """How callers are told apart; empty when they are not."""
        return set() if self.auth == "none" else {way.strip() for way in self.auth.split(",")}

    @property
    def addresses(self) -> Sequence[Address]:
        """Where to listen."""
        return read_addresses(self.address)

    @property
    def worker_threads(self) -> int:
        """Threads that each worker computes with."""
        return self.threads or max(1, (os.cpu_count() or 1) // self.workers)

    @property
    def limits(self) -> Limits:
        """What a request may ask for at most."""
        names = {limit.name for limit in fields(Limits)} & {setting.name for setting in fields(self)}
        return Limits(**{name: getattr(self, name) for name in names})


_CHOICES = {
    "durability": ("power", "process"),
    "log_level": ("debug", "info", "warning", "error"),
    "log_format": ("text", "json"),
}
_FROM_ZERO = (
    "threads",
    "max_job_memory_bytes",
    "max_job_seconds",
    "max_restarts",
    "stop_grace",
    "disconnect_grace",
    "keep_ended",
)
# A message of gRPC is below 2 GiB; rows to predict and all else have to fit beside the data.
_MAX_DATA_BYTES = (2 << 30) - (16 << 20)
