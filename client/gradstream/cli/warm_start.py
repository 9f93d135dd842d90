"""Where training starts that goes on from a model, or from what another job has reached."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click

from gradstream.cli.model_name import name_and_version
from gradstream.cli.values import Start
from gradstream.client import Client
from gradstream.errors import InvalidArgumentError, JobEndedError, JobFailedError, NotFoundError, Violation
from gradstream.events import FloatArray
from gradstream.job import Job
from gradstream.spec import SpecOptions

_FIELD = "spec.initial_parameters"


class WarmStart:
    """The start that --from and --init give together."""

    def __init__(self, client: Client, source: str | None, initial: dict[str, Start]) -> None:
        """Raises NotFoundError, and click.UsageError for a job that has not ended or has reached nothing.

        source: a job, or a model as NAME or NAME:VERSION.
        """
        self._source = source
        inherited = _parameters_of(client, source) if source else {}
        self._names = [name if name not in initial else "" for name in {**inherited, **initial}]
        self.parameters: dict[str, FloatArray | Start] = {**inherited, **initial}
        """All of them, in the order that they are sent in."""

    def add_to(self, request: SpecOptions) -> None:
        """Put it into the options of `Client.train`."""
        if self._source:
            request["initial_parameters"] = self.parameters

    @contextmanager
    def named(self) -> Iterator[None]:
        """Say with --from what does not fit of those parameters."""
        try:
            yield
        except InvalidArgumentError as error:
            if self._source is None:
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
                return Violation("from", f"{self._source} does not fit: {what} {violation.description}")
        return violation


def _parameters_of(client: Client, source: str) -> Mapping[str, FloatArray]:
    """The parameters of a job or a model, in the data's own units."""
    name, version = name_and_version(source)
    if ":" not in source:
        try:
            job = client.get(source)
        except NotFoundError:
            pass
        else:
            return _parameters_of_job(client, job)
    try:
        model = client.model(name, version)
    except NotFoundError as error:
        if ":" in source:
            raise
        text = error.message.replace("there is no model", "there is no job or model", 1)
        raise NotFoundError(text, code=error.code, reason=error.reason) from error
    return model.load().parameters_in_own_units


def _parameters_of_job(client: Client, job: Job) -> Mapping[str, FloatArray]:
    """What a job has led to, or had reached when it ended."""
    if not job.state.final:
        raise click.UsageError(
            f"--from: job {job.id} is {job.state.lower()}; what it comes to is known when it has ended: "
            f"`gradstream watch {job.id}` waits for that, `gradstream cancel {job.id}` keeps what it has "
            "reached"
        )
    try:
        return client.watch(job.id, job.last_sequence).result().parameters_in_own_units
    except JobEndedError as error:
        if error.result_so_far is None:
            how = "has failed" if isinstance(error, JobFailedError) else "was cancelled"
            raise click.UsageError(f"--from: job {job.id} {how}, and left nothing to start from") from error
        return error.result_so_far.parameters_in_own_units
