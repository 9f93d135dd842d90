"""Where training starts that goes on from what another job has reached."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from gradstream.cli.values import Start
from gradstream.client import Client
from gradstream.errors import InvalidArgumentError, JobEndedError, JobFailedError, Violation
from gradstream.events import FloatArray
from gradstream.spec import SpecOptions

_FIELD = "spec.initial_parameters"


class WarmStart:
    """The start that --from and --init give together."""

    def __init__(self, client: Client, job: str | None, initial: dict[str, Start]) -> None:
        """Raises NotFoundError, and click.UsageError for a job that has not ended or has reached nothing."""
        self._job = job
        inherited = _parameters_of(client, job) if job else {}
        self._names = [name if name not in initial else "" for name in {**inherited, **initial}]
        self.parameters: dict[str, FloatArray | Start] = {**inherited, **initial}
        """All of them, in the order that they are sent in."""

    def add_to(self, request: SpecOptions) -> None:
        """Put it into the options of `Client.train`."""
        if self._job:
            request["initial_parameters"] = self.parameters

    @contextmanager
    def named(self) -> Iterator[None]:
        """Say with --from what does not fit of that job's parameters."""
        try:
            yield
        except InvalidArgumentError as error:
            if self._job is None:
                raise
            raise InvalidArgumentError(
                error.message,
                code=error.code,
                reason=error.reason,
                violations=[self._reworded(each) for each in error.violations],
            ) from error

    def _reworded(self, violation: Violation) -> Violation:
        for i, name in enumerate(self._names):
            if name and violation.field.startswith(f"{_FIELD}[{i}]"):
                what = name if ".value" in violation.field else "a parameter of it"
                return Violation("from", f"job {self._job} does not fit: {what} {violation.description}")
        return violation


def _parameters_of(client: Client, job: str) -> dict[str, FloatArray]:
    """What a job has led to, or had reached when it ended, in the data's own units."""
    found = client.get(job)
    if not found.state.final:
        raise click.UsageError(
            f"--from: job {job} is {found.state.lower()}; what it comes to is known when it has ended: "
            f"`gradstream watch {job}` waits for that, `gradstream cancel {job}` keeps what it has reached"
        )
    try:
        return client.watch(job, found.last_sequence).result().parameters_in_own_units
    except JobEndedError as error:
        if error.result_so_far is None:
            how = "has failed" if isinstance(error, JobFailedError) else "was cancelled"
            raise click.UsageError(f"--from: job {job} {how}, and left nothing to start from") from error
        return error.result_so_far.parameters_in_own_units
