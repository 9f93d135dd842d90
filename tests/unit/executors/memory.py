"""Checkpoints that are kept in memory, as the very objects that were given: what changes afterwards shows."""

from collections.abc import Callable

from gradstream_server.jobs.checkpoint import Checkpoint, CheckpointUnusable


class MemoryCheckpoints:
    """Implements `CheckpointStore`."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Checkpoint]] = {}
        self.on_write: Callable[[Checkpoint], object] = lambda _: None
        """Called before a checkpoint is kept; may raise."""

    def write(self, job: str, name: str, checkpoint: Checkpoint) -> None:
        if job not in self.kept:
            raise FileNotFoundError(2, "there is no such folder")
        self.on_write(checkpoint)
        self.kept[job][name] = checkpoint

    def read(self, job: str, name: str) -> Checkpoint:
        try:
            return self.kept[job][name]
        except KeyError as error:
            raise CheckpointUnusable(f"checkpoint {name} is gone") from error

    def prepare(self, job: str) -> None:
        self.kept.setdefault(job, {})

    def discard(self, job: str, name: str) -> None:
        self.kept.get(job, {}).pop(name, None)

    def remove(self, job: str) -> None:
        self.kept.pop(job, None)

    def jobs(self) -> list[str]:
        return list(self.kept)
