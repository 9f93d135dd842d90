"""A model that is loaded: it answers, from inputs to outputs."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from gradstream.bundle import Bundle
from gradstream.bundle.encoding import Encoder
from gradstream.bundle.functions import Floats
from gradstream.bundle.predictor import classes_of, scaled
from gradstream.errors import InvalidArgumentError
from gradstream_server.jobs.errors import InvalidRequest, Violation
from gradstream_server.models.signature import CLASSES, PREDICTIONS, Rows, Signature
from gradstream_server.models.tensor import Tensor


class ModuleComputer(Protocol):
    """Computes installed modules outside of the server's main process; `executors/` implements it."""

    async def predict(self, bundle: Bundle, features: Floats) -> Floats:
        """Predictions (rows, outputs) for features (rows, features), scaled and in the precision of training.

        Raises:
            ModelUnusable: its code is not there, or fails, or takes too long.
            TooManyPredictions: others wait already.
        """
        ...


_MOST_TIMES = 2
"""What an answer may have, times this, its rows may have as features: so any matrix of FP32 fits."""


class Served:
    """One version of a model, loaded."""

    platform: str
    """What computes it, in the protocol's words."""

    def __init__(self, bundle: Bundle, max_bytes: int) -> None:
        """
        Args:
            max_bytes: of predictions in one answer.
        """
        self._bundle = bundle
        self._max_bytes = max_bytes
        self.name, self.version = bundle.origin.name, bundle.origin.version
        self.signature = Signature(bundle)
        self.numbers = sum(value.size for value in bundle.parameters.values())
        """That its parameters are."""
        self._class_bytes = max((len(str(each).encode()) + 8 for each in bundle.classes), default=0)
        """Of the class of a row in an answer, at most."""

    def _rows(self, inputs: Sequence[Tensor], wanted: Sequence[str]) -> Rows:
        """Inputs as rows, if what is made of them is no more than there may be."""
        rows = self.signature.rows(inputs)
        count = len(next(iter(rows.values())) if isinstance(rows, dict) else rows)
        row_bytes = self._bundle.outputs * np.dtype(self._bundle.dtype).itemsize
        row_bytes += self._class_bytes if CLASSES in wanted else 0
        self._check_bytes(count, row_bytes, self._max_bytes, "predictions")
        self._check_bytes(count, len(self._bundle.features) * 8, self._max_bytes * _MOST_TIMES, "features")
        return rows

    @staticmethod
    def _check_bytes(rows: int, row_bytes: int, most: int, what: str) -> None:
        if rows * row_bytes > most:
            told = f"are {rows} rows, whose {what} have {rows * row_bytes} bytes; there may be {most}"
            raise InvalidRequest(
                [Violation("inputs", f"{told}: send at most {most // row_bytes} rows at once")]
            )

    def _outputs(self, predictions: Floats, wanted: Sequence[str]) -> list[Tensor]:
        values = {PREDICTIONS: predictions}
        if CLASSES in wanted:
            values[CLASSES] = classes_of(self._bundle, predictions)[:, np.newaxis]
        return [Tensor(name, values[name]) for name in wanted]


class ServedModel(Served):
    """A model of gradstream's own, to be asked by any thread."""

    platform = "gradstream_numpy"

    def __init__(self, bundle: Bundle, max_bytes: int) -> None:
        super().__init__(bundle, max_bytes)
        self._predictor = bundle.predictor()

    def infer(self, inputs: Sequence[Tensor], wanted: Sequence[str] = ()) -> list[Tensor]:
        """The outputs that are wanted, by default all, for rows.

        Raises:
            InvalidRequest: inputs that the model cannot be asked, an output that it does not have, or so many
                rows that the answer were too large.
        """
        wanted = self.signature.wanted(wanted)
        rows = self._rows(inputs, wanted)
        with _of_inputs():
            predictions = self._predictor.predict(rows)
        return self._outputs(predictions, wanted)


class ServedModule(Served):
    """An installed module: its features are made here, and what it makes of them in another process."""

    platform = "gradstream_module"

    def __init__(self, bundle: Bundle, max_bytes: int, computer: ModuleComputer) -> None:
        super().__init__(bundle, max_bytes)
        self._encoder = Encoder(bundle)
        self._computer = computer

    async def infer(self, inputs: Sequence[Tensor], wanted: Sequence[str] = ()) -> list[Tensor]:
        """As `ServedModel.infer`.

        Raises:
            InvalidRequest: as there.
            ModelUnusable, TooManyPredictions: as `ModuleComputer.predict`.
        """
        wanted = self.signature.wanted(wanted)
        features = await asyncio.to_thread(self._features, inputs, wanted)
        return self._outputs(await self._computer.predict(self._bundle, features), wanted)

    def _features(self, inputs: Sequence[Tensor], wanted: Sequence[str]) -> Floats:
        rows = self._rows(inputs, wanted)
        with _of_inputs():
            return scaled(self._bundle, self._encoder.encode(rows), np.dtype(self._bundle.dtype))


@contextmanager
def _of_inputs() -> Iterator[None]:
    """Say of inputs what is said of rows to those who have no inputs."""
    try:
        yield
    except InvalidArgumentError as error:
        raise InvalidRequest([Violation("inputs", each.description) for each in error.violations]) from error
