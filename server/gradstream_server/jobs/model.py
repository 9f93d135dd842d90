"""What a job leaves: a model, which outlives it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Model:
    """What is known of a model, all but the parameters: the log of its job has them, while that is there."""

    name: str
    """In stores together with its owner: see `access/principal.py`. To callers, what they call it."""
    version: int
    """From 1; at most one model of a name has it, ever."""
    job: str
    create_time: datetime
    """When the job ended."""
    spec: bytes
    """The resolved spec, as the contract encodes it."""
    outcome: bytes
    """What training has led to, as the contract encodes it, without parameters and predictions."""
