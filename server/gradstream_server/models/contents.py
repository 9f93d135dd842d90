"""The results that models are made of: in the logs of their jobs, or in files once these are deleted."""

from gradstream_server.jobs.codec import Codec
from gradstream_server.jobs.store import JobStore
from gradstream_server.models.store import ModelStore, ResultStore


class ModelContents:
    """Finds the results of jobs, and keeps them when jobs go. Methods block."""

    def __init__(self, jobs: JobStore, models: ModelStore, results: ResultStore, codec: Codec) -> None:
        self._jobs = jobs
        self._models = models
        self._results = results
        self._codec = codec

    def keep(self, job: str) -> None:
        """Keep the result of a job about to be deleted, if it has left a model; in turn with all that writes.

        Raises:
            StorageFull: there is no room for it.
        """
        if self._models.of_job(job) and (result := self._in_log(job)):
            self._results.put(job, result)

    def read(self, job: str) -> bytes | None:
        """The result of a job, deleted or not, as the contract encodes it; None when it was lost."""
        # In this order: the file is there before the log goes.
        return self._in_log(job) or self._results.get(job)

    def remove(self, job: str) -> None:
        """Remove what was kept of a deleted job, whose model is deleted too."""
        self._results.remove(job)

    def remove_strays(self) -> None:
        """Remove what was kept for models that are not there, when a server died between the two."""
        for job in self._results.jobs() - self._models.jobs():
            self._results.remove(job)

    def _in_log(self, job: str) -> bytes | None:
        found = self._jobs.get(job)
        if found is None:
            return None
        # A deletion that was cut short has left the beginning of the log alone.
        for last in self._jobs.events(job, found.last_sequence - 1, 1):
            return self._codec.result_of(last.body)
        return None
