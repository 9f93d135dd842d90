"""Where models are kept; `stores/` implements it."""

from collections.abc import Sequence
from typing import Protocol

from gradstream_server.jobs.model import Model


class ModelStore(Protocol):
    """What is known of models, whose names are those together with their owners'. Methods block; any thread
    may read, and one at a time write."""

    def get(self, name: str, version: int = 0) -> Model | None:
        """A model, the latest of its name unless a version is given; None when there is none."""
        ...

    def of_job(self, job: str) -> Model | None:
        """The model that a job has left; None when it has left none, or that was deleted."""
        ...

    def page(
        self, name: str, before: int | None, size: int, owner: str | None = None
    ) -> tuple[list[Model], int | None]:
        """At most `size` models, newest first, and the cursor of the next page, or None at the end.

        Args:
            name: only models of this name; all when empty.
            owner: only models of this owner; all when None.
            before: the cursor that the page before has given; None for the newest.
        """
        ...

    def versions(self, name: str) -> list[int]:
        """The versions of a model, rising."""
        ...

    def index(self, owner: str | None = None) -> list[tuple[str, int]]:
        """Names and versions of all models, or of those of an owner, by name, versions rising."""
        ...

    def names(self, limit: int, owner: str | None = None) -> list[str]:
        """The names of the newest models, or of those of an owner."""
        ...

    def jobs(self) -> set[str]:
        """The jobs whose models there are."""
        ...

    def delete(self, name: str, versions: Sequence[int]) -> list[Model]:
        """Remove versions of a model, as far as they are there, for good; what was removed.

        Raises:
            StorageFull: there is no room to note that they are not to be given again.
        """
        ...


class ResultStore(Protocol):
    """What is left of deleted jobs whose models are kept: their results, with the parameters."""

    def put(self, job: str, result: bytes) -> None:
        """Keep the result of a job, safe from anything once this returns.

        Raises:
            StorageFull: there is no room for it.
        """
        ...

    def get(self, job: str) -> bytes | None:
        """The result of a job; None when it is not there."""
        ...

    def remove(self, job: str) -> None:
        """Remove the result of a job; nothing happens when it is gone already."""
        ...

    def jobs(self) -> set[str]:
        """The jobs whose results there are."""
        ...
