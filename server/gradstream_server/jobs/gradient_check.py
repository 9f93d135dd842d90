"""The gradients of all trainers on one batch of a spec's data, compared: a use case of its own, no job."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gradstream_server.access.principal import UNRESTRICTED, Principal
from gradstream_server.jobs.check import Check
from gradstream_server.jobs.errors import InvalidSpec, Violation
from gradstream_server.jobs.parts import check_parts
from gradstream_server.jobs.spec import InlineData, Spec, SpecRequest
from gradstream_server.trainers.catalogue import is_plugin
from gradstream_server.trainers.gradients import ParameterGradient
from gradstream_server.trainers.registry import TRAINERS


@dataclass(frozen=True)
class Gradients:
    """What was computed of a batch."""

    rows: int
    parameters: Sequence[ParameterGradient]


@dataclass(frozen=True)
class GradientCheck:
    """How far apart the gradients of trainers are."""

    spec: Spec
    trainers: Sequence[str]
    left_out: Mapping[str, str]
    """Trainers that do not do the spec's model or loss, and why."""
    gradients: Gradients


class GradientComputer(Protocol):
    """Computes gradients outside of the server's main process; `executors/` implements it."""

    async def compute(self, spec: Spec, data: InlineData | None, trainers: Sequence[str]) -> Gradients:
        """The gradients of some trainers.

        Args:
            data: those of the spec where they are inline: nobody has kept them.

        Raises:
            TooManyChecks: others wait already.
            CheckFailed: it was not possible; the fault tells why.
        """
        ...


class GradientChecks:
    """Compares gradients."""

    def __init__(
        self,
        resolve: Callable[[SpecRequest, Principal], Awaitable[tuple[Spec, InlineData | None]]],
        computer: GradientComputer,
    ) -> None:
        """
        Args:
            resolve: gives the resolved spec and its inline data, or raises as for a job.
        """
        self._resolve = resolve
        self._computer = computer

    async def check(self, request: SpecRequest, caller: Principal = UNRESTRICTED) -> GradientCheck:
        """Compare the gradients of all trainers that do the spec's model and loss.

        Raises:
            InvalidSpec, DatasetNotFound, DeviceNotAvailable: as for a job.
            TooManyChecks, CheckFailed: as `GradientComputer.compute`.
        """
        spec, data = await self._resolve(request, caller)
        if is_plugin(model := spec.parts["model"]):
            what = "an installed module, whose gradient is torch's alone: there is nothing to compare it with"
            raise InvalidSpec([Violation("spec.model.name", f"is {model.name!r}, {what}")])
        left_out = {trainer: reason for trainer in TRAINERS if (reason := _why_not(trainer, spec))}
        trainers = [trainer for trainer in TRAINERS if trainer not in left_out]
        return GradientCheck(spec, trainers, left_out, await self._computer.compute(spec, data, trainers))


def _why_not(trainer: str, spec: Spec) -> str:
    """Why a trainer does not do a spec's model and loss; empty when it does."""
    check = Check()
    check_parts(check, trainer, {"model": spec.parts["model"], "loss": spec.parts["loss"]})
    try:
        check.done()
    except InvalidSpec as error:
        return "; ".join(f"the {v.field.split('.')[1]} {v.description}" for v in error.violations)
    return ""
