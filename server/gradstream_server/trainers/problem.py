"""What a trainer is given, and what it has to offer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gradstream_server.trainers.catalogue import default
from gradstream_server.trainers.part import Choice

# An array of the trainer's own kind, on its device: numpy.ndarray or torch.Tensor.
Array = Any

Parameters = Mapping[str, Array]
"""The parameters of a model: "weight" (outputs, features) and, with an intercept, "bias" (outputs); of
several layers "0.weight" and so on."""

State = Mapping[str, NDArray[Any]]
"""All that the epochs to come depend on beside the problem: arrays on the host, by names of the trainer."""


@dataclass(frozen=True)
class Rows:
    """Rows to measure on, as those to learn from."""

    features: NDArray[np.floating]
    """(rows, features)."""
    targets: NDArray[np.floating]
    """(rows, targets)."""


@dataclass(frozen=True)
class Problem:
    """Rows to learn from and how, with every choice made: data are scaled and in the training dtype."""

    features: NDArray[np.floating]
    """(rows, features), float32 or float64, C-contiguous."""
    targets: NDArray[np.floating]
    """(rows, targets), of the same dtype."""
    epochs: int
    learning_rate: float
    batch_size: int
    """Rows per update; the number of rows for a full batch."""
    shuffle: bool = False
    reduction: Literal["mean", "sum"] = "mean"
    """Whether the gradient is that of the mean or of the sum of squared errors."""
    intercept: bool = True
    l2: float = 0.0
    seed: int = 0
    device: str = "cpu"
    """Resolved: "cpu", "cuda:N" or "mps"."""
    model: Choice = field(default_factory=lambda: default("model"))
    """What is trained. This and those below: one that the trainer has, with every option."""
    loss: Choice = field(default_factory=lambda: default("loss"))
    """What is made small; one that the model has."""
    classes: int = 0
    """Of a loss of classes: how many there are. The targets are then (rows, 1), numbers of classes."""
    initialization: Choice = field(default_factory=lambda: default("initialization"))
    """Where weights that are not given start."""
    optimizer: Choice = field(default_factory=lambda: default("optimizer"))
    """How a gradient becomes an update."""
    schedule: Choice = field(default_factory=lambda: default("schedule"))
    """How the learning rate changes from epoch to epoch."""
    clipping: Choice = field(default_factory=lambda: default("clipping"))
    """What is done to the gradient of the loss before l2 and weight decay are added to it."""
    mixed_precision: Choice = field(default_factory=lambda: default("mixed_precision"))
    """Whether the forward pass is in 16 bits; only with float32."""
    initial: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    """Parameters to start from, training dtype, scaled units; one that is not given is the trainer's own."""

    validation: Rows | None = None
    """Rows that `Trainer.validate` measures on, and nothing is learnt from."""

    @property
    def outputs(self) -> int:
        """What the model has for each row: a number for each target, or for each class."""
        return self.classes if self.loss.name == "cross_entropy" else self.targets.shape[1]


class Trainer(Protocol):
    """A way to obtain the gradient. Built from a `Problem`, or else `CannotTrain`; lives in a worker."""

    def parameters(self) -> Parameters:
        """The parameters as they are now: NumPy arrays on the CPU. Later updates may change these arrays."""
        ...

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Predictions (rows, targets) for scaled features (rows, features).

        Of a logistic model the probability of the second class, of others with classes (rows, classes).
        """
        ...

    def validate(self) -> tuple[float, NDArray[np.floating]]:
        """The mean loss of the problem's validation rows, and predictions for them as `predict` gives them.

        With the parameters as they are now, and without dropout. The trainer stays as it was.
        """
        ...

    def state(self) -> State:
        """A copy of the state as it is now: before training, after it, or between two epochs.

        Parameters and what optimizer and schedule keep, in the precision of training, which may be higher
        than that of the data. No generator and no position in the data: the batches of an epoch are a
        function of seed and epoch alone (batches.py).
        """
        ...

    def resume(self, epoch: int, state: State) -> None:
        """Be where a trainer of the same problem was after `epoch` (0 to problem.epochs) in that state.

        To be called before `train()`. On the CPU losses and parameters are then, bit for bit, those of a
        training that nothing interrupted, given the same libraries and number of threads.

        Raises:
            ValueError: the state does not fit the problem; names what is missing, unknown, or of another
                shape or dtype. The trainer is as it was.
        """
        ...

    def train(self) -> Iterator[Array]:
        """Train, yielding the loss of each epoch that remains: none after the last.

        A number on the CPU, a 0-d array on other devices.
        """
        ...
