"""Models on the server, as values, and what can be done with them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from gradstream.events import Receipt
from gradstream.spec import Spec
from gradstream.transport import finish

if TYPE_CHECKING:
    from gradstream.bundle import Bundle
    from gradstream.bundle.table import Rows
    from gradstream.model_operations import ModelOperations

ModelFormat = Literal["bundle", "onnx", "state_dict"]
"""What a model can be taken away as: a zip archive that `gradstream.load` reads, an ONNX graph, or the
parameters alone, as safetensors by torch's names."""


@dataclass(frozen=True, eq=False)
class ModelInfo:
    """What is known of a model."""

    name: str
    version: int
    """From 1, rising with each model of the name."""
    job: str
    """The job that trained it, which may have been deleted since."""
    create_time: datetime
    """When the job ended, in UTC."""
    spec: Spec
    """With every field set. In a list without names of features and targets, initial parameters and rows to
    predict."""
    epochs: int
    """Epochs trained: fewer than those of the spec when training ended before, on purpose or by a fault."""
    metrics: Mapping[str, float]
    """What training has reached: "final_loss", and with validation "validation_loss" and its metrics."""
    training_seconds: float
    """From the first epoch to the last, without loading."""
    receipt: Receipt


@dataclass(frozen=True, eq=False)
class Model(ModelInfo):
    """A model on the server, from `Client.model` or `Client.models`."""

    _operations: "ModelOperations" = field(repr=False)

    @classmethod
    def of(cls, info: ModelInfo, operations: "ModelOperations") -> Self:
        """The model that something is known of."""
        return cls(**vars(info), _operations=operations)

    def download(self, target: str | os.PathLike[str], format: ModelFormat | None = None) -> Path:
        """Write the model to a file, and return its path. An earlier file of the name is replaced, but stays
        as it was when this fails.

        target: the file, or a folder for one such as house-prices-3.zip.
        format: "bundle", "onnx" or "state_dict". Default: what the file's ending says (.zip, .onnx or
            .safetensors); in a folder a bundle.

        Raises InvalidArgumentError for an ending that says no format, FailedPreconditionError for a format
        that this model, or this server, does not have, NotFoundError when it was deleted, and OSError when
        the file cannot be written.
        """
        return finish(self._operations.download(self.name, self.version, target, format))

    def load(self) -> "Bundle":
        """Fetch the model, to predict here with NumPy alone. Raises as `download` does, but no OSError."""
        return finish(self._operations.load(self.name, self.version))

    def predict(self, rows: "Rows") -> NDArray[np.floating[Any]]:
        """Ask the server for predictions (rows, targets); of a model of classes for probabilities: of the
        second class (rows, 1) with `log_loss`, of each (rows, classes) with `cross_entropy`.

        rows: in the data's own units, of any form that `Bundle.predict` takes. Many of them travel in pieces
            of about 1 MiB, so they may be as many as there is memory for.

        Raises InvalidArgumentError for rows that the model cannot be asked, NotFoundError when it was
        deleted, and FailedPreconditionError when it is unloaded, or cannot be used.
        """
        return finish(self._operations.predict(self.name, self.version, rows))

    def classify(self, rows: "Rows") -> NDArray[Any]:
        """Ask the server for the most probable class of each row, shape (rows). Arguments and errors as those
        of `predict`; InvalidArgumentError also for a model of numbers."""
        return finish(self._operations.classify(self.name, self.version, rows))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from gradstream.html_views import model_html

        return model_html(self)

    def delete(self) -> None:
        """Delete this version, for good. Its job stays as it is. Raises NotFoundError when it is gone."""
        finish(self._operations.delete(self.name, self.version))
