"""What a server is, as values."""

from dataclasses import dataclass
from enum import StrEnum

from gradstream.spec import JsonValue, Spec


class Health(StrEnum):
    """Whether a server takes work."""

    SERVING = "SERVING"
    NOT_SERVING = "NOT_SERVING"
    """It is there, but starting or stopping."""
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Device:
    """Something to train on."""

    name: str
    """What a spec calls it: "cpu", "cuda:0", "mps"."""
    description: str


@dataclass(frozen=True, slots=True)
class TrainerInfo:
    """A way to obtain the gradient."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class PartInfo:
    """A part of a training that a spec can choose by name."""

    field: str
    """The option of `Client.train` that it is for, such as "optimizer"."""
    name: str
    description: str
    options_schema: dict[str, JsonValue]
    """A JSON schema of its options: each with its type, range and default."""
    trainers: tuple[str, ...]
    """Those that have it."""
    is_default: bool
    losses: tuple[str, ...]
    """Of a model: those that it can have, its default first."""
    package: str
    """Of a model that was installed beside gradstream: its package and version."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may ask for at most."""

    max_epochs: int
    max_data_bytes: int
    max_predict_bytes: int
    max_parameters: int
    max_message_bytes: int
    max_queued_jobs: int
    max_watches: int
    max_job_memory_bytes: int
    """0: no limit."""
    max_job_seconds: float
    """0: no limit."""
    disconnect_grace_seconds: float
    """How long nobody may watch a job with `cancel_on_disconnect` before it is cancelled."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server is and has."""

    version: str
    devices: tuple[Device, ...]
    trainers: tuple[TrainerInfo, ...]
    limits: Limits
    workers: int
    """Jobs that can run at once."""
    parts: tuple[PartInfo, ...]
    """What a spec can choose by name."""
    running_jobs: int
    queued_jobs: int


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """What a server would make of a spec."""

    spec: Spec
    """The spec with every field set."""
    estimated_memory_bytes: int
    """At the peak, beside the worker's own; a rough estimate."""
    estimated_seconds: float
    """On an idle machine; a rough estimate."""
