"""Asks installed modules, each time in a process of its own: their code is not ours, and needs torch.

This module lives in the server's main process and never imports torch; `prediction_task.py` lives in
the child.
"""

import asyncio
import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstream.bundle import Bundle
from gradstream_server.executors.own_process import Died, in_own_process
from gradstream_server.jobs.errors import ModelUnusable, TooManyPredictions

_logger = logging.getLogger(__name__)

MOST_WAITING = 32
"""Their rows wait in memory."""
LONGEST_S = 30.0
_RETRY_AFTER_S = 1.0

Floats = NDArray[np.floating[Any]]


class PredictionProcesses:
    """Computes what installed modules predict, a few requests at a time. Lives on one event loop."""

    def __init__(
        self,
        at_once: int,
        threads: int,
        configure_logging: Callable[[], None],
        longest_s: float = LONGEST_S,
    ) -> None:
        """
        Args:
            threads: that each process computes with.
        """
        self._turns = asyncio.Semaphore(at_once)
        self._most = at_once + MOST_WAITING
        self._there = 0
        self._threads = threads
        self._configure_logging = configure_logging
        self._longest_s = longest_s

    async def predict(self, bundle: Bundle, features: Floats) -> Floats:
        if self._there >= self._most:
            raise TooManyPredictions(MOST_WAITING, _RETRY_AFTER_S)
        self._there += 1
        try:
            async with self._turns:
                result = await self._in_time(bundle, features)
        finally:
            self._there -= 1
        if isinstance(result, np.ndarray):
            return result
        name = f"model {bundle.origin.name} version {bundle.origin.version}"
        if isinstance(result, str):
            raise ModelUnusable(f"{name} cannot be asked: {result}")
        assert isinstance(result, Died), "it gives nothing else"
        _logger.warning("a prediction has died", extra={"model": name, "exit_code": result.exit_code})
        raise ModelUnusable(f"{name}: the process that asked it has died, with exit code {result.exit_code}")

    async def _in_time(self, bundle: Bundle, features: Floats) -> object:
        try:
            async with asyncio.timeout(self._longest_s):
                return await in_own_process(
                    _predict,
                    bundle,
                    features,
                    self._threads,
                    self._configure_logging,
                    name="gradstream-prediction",
                )
        except TimeoutError:
            return f"its code took longer than {self._longest_s:g} s; send fewer rows at once"


def _predict(
    bundle: Bundle, features: Floats, threads: int, configure_logging: Callable[[], None]
) -> Floats | str:
    """What the process runs. Imported by name: only there may torch come with it."""
    configure_logging()
    result: Floats | str = import_module("gradstream_server.executors.prediction_task").predict(
        bundle, features, threads
    )
    return result
