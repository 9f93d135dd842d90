"""What a request may ask for at most."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a request may ask for at most; the operator sets them, `config.py`."""

    max_epochs: int = 10_000_000
    max_data_bytes: int = 256 << 20
    """Features and targets together."""
    max_predict_bytes: int = 1 << 20
    """Rows to predict, and as much for the predictions: they travel in one event."""
    max_parameters: int = 100_000
    """Numbers of a model: they travel in one event too, which any client has to be able to receive."""
    max_dataset_bytes: int = 16 << 30
    """Of a file that is uploaded, and of the table that is made of it."""
    max_uploads: int = 16
    max_queued_jobs: int = 1_000
    max_watches: int = 2_000
    max_job_memory_bytes: int = 0
    """Of a job beside its worker's own; 0 for no limit."""
    max_job_seconds: float = 0.0
    """Of running; 0 for no limit."""

    @property
    def max_message_bytes(self) -> int:
        """Bytes of one request: the data, the rows to predict, and room for all else."""
        return self.max_data_bytes + self.max_predict_bytes + (4 << 20)
