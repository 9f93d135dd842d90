"""What both estimators do alike: train on the server, and keep what predicts without it."""

from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from gradstream.bundle import Bundle
from gradstream.client import Client
from gradstream.errors import InvalidArgumentError
from gradstream.events import FloatArray
from gradstream.sklearn.parameters import explained
from gradstream.sklearn.progress import show
from gradstream.spec import Choice

FLOATS = [np.float64, np.float32]
"""The types of features that are sent as they are; others become the first."""
MOMENTUM: Choice = ("sgd", {"momentum": 0.9})


class Estimator(BaseEstimator):
    """An estimator whose parameters are options of `Client.train`, told with each of the two."""

    server: str | None
    trainer: str
    device: str | None
    model: Choice | None
    optimizer: Choice | None
    schedule: Choice | None
    learning_rate: float | None
    epochs: int
    batch_size: int | None
    l2: float
    intercept: bool
    standardize: bool
    validation_fraction: float | None
    patience: int | None
    min_delta: float | None
    dtype: Literal["float32", "float64"] | None
    random_state: int | np.random.RandomState | None
    warm_start: bool
    model_name: str | None
    progress: bool

    n_features_in_: int
    feature_names_in_: NDArray[Any]
    """Only where features have names."""
    bundle_: Bundle
    """The model, as `gradstream.load` gives it: `bundle_.save("model.zip")`."""
    job_: str
    """The job that has trained it, which the server keeps."""
    n_iter_: int
    """Epochs trained."""
    loss_curve_: NDArray[np.float64]
    """The loss of each epoch, shape (epochs,)."""
    validation_loss_curve_: NDArray[np.float64]
    """The loss of the validation rows after each, shape (epochs,); empty without `validation_fraction`."""

    def _train(
        self, X: NDArray[Any], y: NDArray[Any], target_names: list[str], model: Choice, loss: Choice
    ) -> None:
        """Train on the server, and keep what comes of it.

        X: shape (rows, features). y: shape (rows,) or (rows, targets), numbers, or numbers of classes.
        target_names: a name for each target, or none.
        """
        options: dict[str, Any] = {
            "trainer": self.trainer,
            "device": self.device,
            "model": model,
            "loss": loss,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "learning_rate": self.learning_rate,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "l2": self.l2,
            "intercept": self.intercept,
            "standardize": self.standardize,
            "validation": self.validation_fraction,
            "patience": self.patience,
            "min_delta": self.min_delta,
            "dtype": self.dtype,
            "seed": self._seed(),
            "feature_names": getattr(self, "feature_names_in_", None),
            "target_names": target_names,
        }
        if self.warm_start and hasattr(self, "bundle_"):
            options["initial_parameters"] = self.bundle_.parameters_in_own_units
        try:
            # A job that nobody waits for any more, for this process was interrupted or is gone, is cancelled.
            with (
                Client(self.server) as client,
                client.train(
                    X, y, cancel_on_disconnect=True, model_name=self.model_name or "", **options
                ) as run,
            ):
                if self.progress:
                    show(run)
                result = run.result()
                assert result.model is not None
                self.bundle_ = client.model(result.model).load()
        except InvalidArgumentError as error:
            raise ValueError(explained(error)) from error
        self.job_ = result.job
        self.n_iter_ = result.epochs
        self.loss_curve_ = run.losses
        self.validation_loss_curve_ = run.validation_losses

    def _seed(self) -> int:
        """The seed of the job: a whole number as it is, else drawn as scikit-learn draws."""
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _scores(self, X: ArrayLike) -> FloatArray:
        """What the last layer gives for each row, shape (rows, outputs), computed here in float64."""
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=FLOATS)
        return self.bundle_.predictor("float64").scores(rows)

    def _linear(self, attribute: str) -> tuple[FloatArray, FloatArray]:
        """Weights (outputs, features) and biases (outputs) in the units of the features.

        Raises AttributeError for an estimator that is not fitted, or is no linear model.
        """
        bundle = getattr(self, "bundle_", None)
        if bundle is None or bundle.model.name == "mlp":
            has = "is not fitted yet" if bundle is None else "is no linear model"
            raise AttributeError(f"there is no {attribute}: this {type(self).__name__} {has}")
        parameters = bundle.parameters_in_own_units
        weight = parameters["weight"]
        return weight, parameters.get("bias", np.zeros(len(weight)))
