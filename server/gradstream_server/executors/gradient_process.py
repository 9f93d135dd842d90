"""Compares gradients, each time in a process of its own: workers are for jobs, and nothing of it stays.

This module lives in the server's main process and never imports torch; `gradient_task.py` lives in the child.
"""

import asyncio
import logging
from collections.abc import Sequence
from importlib import import_module

from gradstream_server.executors.messages import Equipment
from gradstream_server.executors.own_process import Died, in_own_process
from gradstream_server.jobs.errors import CheckFailed, Fault, FaultReason, TooManyChecks
from gradstream_server.jobs.gradient_check import Gradients
from gradstream_server.jobs.spec import InlineData, Spec

_logger = logging.getLogger(__name__)

MOST_WAITING = 8
"""Their data wait in memory."""
LONGEST_S = 30.0
_RETRY_AFTER_S = 5.0


class GradientProcesses:
    """Computes gradients, one check after the other. Lives on one event loop."""

    def __init__(self, equipment: Equipment, longest_s: float = LONGEST_S) -> None:
        self._equipment = equipment
        self._longest_s = longest_s
        self._turn = asyncio.Lock()
        self._there = 0

    async def compute(self, spec: Spec, data: InlineData | None, trainers: Sequence[str]) -> Gradients:
        if self._there > MOST_WAITING:
            raise TooManyChecks(MOST_WAITING, _RETRY_AFTER_S)
        self._there += 1
        try:
            async with self._turn:
                result = await self._in_time(spec, data, trainers)
        finally:
            self._there -= 1
        match result:
            case Gradients():
                return result
            case Fault():
                raise CheckFailed(result)
        assert isinstance(result, Died), "it gives nothing else"
        _logger.warning("a check of gradients has died", extra={"exit_code": result.exit_code})
        message = f"the process that computed the gradients has died, with exit code {result.exit_code}"
        raise CheckFailed(Fault(FaultReason.WORKER_DIED, message, {"exit_code": str(result.exit_code)}))

    async def _in_time(self, spec: Spec, data: InlineData | None, trainers: Sequence[str]) -> object:
        allowed_s = min(self._longest_s, spec.max_seconds or self._longest_s)
        try:
            async with asyncio.timeout(allowed_s):
                return await in_own_process(
                    _compute, spec, data, trainers, self._equipment, name="gradstream-gradients"
                )
        except TimeoutError:
            message = f"the gradients took longer than {allowed_s:g} s; use a smaller model"
            return Fault(FaultReason.TIME_LIMIT_EXCEEDED, message)


def _compute(
    spec: Spec, data: InlineData | None, trainers: Sequence[str], equipment: Equipment
) -> Gradients | Fault:
    """What the process runs. Imported by name: only there may torch come with it."""
    result: Gradients | Fault = import_module("gradstream_server.executors.gradient_task").compute(
        spec, data, trainers, equipment
    )
    return result
