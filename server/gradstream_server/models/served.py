"""A model that is loaded: it answers, from inputs to outputs."""

from collections.abc import Sequence

import numpy as np

from gradstream.bundle import Bundle
from gradstream.errors import InvalidArgumentError
from gradstream_server.jobs.errors import InvalidRequest, Violation
from gradstream_server.models.signature import CLASSES, PREDICTIONS, Rows, Signature
from gradstream_server.models.tensor import Tensor


class ServedModel:
    """One version of a model, to be asked by any thread."""

    platform = "gradstream_numpy"

    def __init__(self, bundle: Bundle, max_bytes: int) -> None:
        """
        Args:
            max_bytes: of predictions in one answer.

        Raises:
            FailedPreconditionError: the model is an installed module, which NumPy cannot compute.
        """
        self._bundle = bundle
        self._max_bytes = max_bytes
        self._predictor = bundle.predictor()
        self.name, self.version = bundle.origin.name, bundle.origin.version
        self.signature = Signature(bundle)
        self.numbers = sum(value.size for value in bundle.parameters.values())
        """That its parameters are."""

    def infer(self, inputs: Sequence[Tensor], wanted: Sequence[str] = ()) -> list[Tensor]:
        """The outputs that are wanted, by default all, for rows.

        Raises:
            InvalidRequest: inputs that the model cannot be asked, an output that it does not have, or so many
                rows that the answer were too large.
        """
        wanted = self.signature.wanted(wanted)
        rows = self.signature.rows(inputs)
        self._check_size(rows)
        try:
            predictions = self._predictor.predict(rows)
        except InvalidArgumentError as error:
            # Of rows, in the words of those who have no inputs.
            raise InvalidRequest(
                [_of_inputs(violation.description) for violation in error.violations]
            ) from error
        values = {PREDICTIONS: predictions}
        if CLASSES in wanted:
            values[CLASSES] = self._predictor.classes(predictions)[:, np.newaxis]
        return [Tensor(name, values[name]) for name in wanted]

    def _check_size(self, rows: Rows) -> None:
        count = len(next(iter(rows.values())) if isinstance(rows, dict) else rows)
        row_bytes = self._bundle.outputs * np.dtype(self._bundle.dtype).itemsize
        if count * row_bytes > self._max_bytes:
            what = (
                f"are {count} rows, whose predictions have {count * row_bytes} bytes; an answer has at most "
            )
            most = f"{self._max_bytes}: send at most {self._max_bytes // row_bytes} rows at once"
            raise InvalidRequest([Violation("inputs", what + most)])


def _of_inputs(description: str) -> Violation:
    return Violation("inputs", description)
