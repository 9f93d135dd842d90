"""Classification on a gradstream server."""

from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from gradstream.bundle.functions import sigmoid, softmax
from gradstream.events import FloatArray
from gradstream.request import names_in
from gradstream.sklearn.estimator import FLOATS, MOMENTUM, Estimator
from gradstream.sklearn.parameters import named
from gradstream.spec import Choice

# Without installed modules, which only a server that has them can predict with.
_MODELS = ("logistic", "softmax", "mlp")


class GradstreamClassifier(ClassifierMixin, Estimator):
    """Predicts classes, two or more. Training is on a server, prediction is not.

        model = GradstreamClassifier(server="127.0.0.1:50051").fit(X, y)

    Parameters are those of `GradstreamRegressor`, but for

    model: "logistic" for two classes, "softmax", or ("mlp", {"hidden": [64, 64]}), a multilayer perceptron.
        None: "logistic" for two classes, "softmax" for more.
    class_weight: what the loss of a row is multiplied by: a dictionary of classes, or "balanced", which gives
        all classes the same share of the loss.

    Once fitted it has `classes_` beside what `GradstreamRegressor` has.
    """

    classes_: NDArray[Any]

    def __init__(
        self,
        *,
        server: str | None = None,
        trainer: str = "module",
        device: str | None = None,
        model: Choice | None = None,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        optimizer: Choice | None = MOMENTUM,
        schedule: Choice | None = None,
        learning_rate: float | None = None,
        epochs: int = 500,
        batch_size: int | None = None,
        l2: float = 0.0,
        intercept: bool = True,
        standardize: bool = True,
        validation_fraction: float | None = None,
        patience: int | None = None,
        min_delta: float | None = None,
        dtype: Literal["float32", "float64"] | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        model_name: str | None = None,
        progress: bool = False,
    ) -> None:
        # scikit-learn reads parameters off each class's own signature, and wants each kept as it is given.
        self.server = server
        self.trainer = trainer
        self.device = device
        self.model = model
        self.class_weight = class_weight
        self.optimizer = optimizer
        self.schedule = schedule
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.l2 = l2
        self.intercept = intercept
        self.standardize = standardize
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.min_delta = min_delta
        self.dtype = dtype
        self.random_state = random_state
        self.warm_start = warm_start
        self.model_name = model_name
        self.progress = progress

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on the server.

        X: shape (rows, features). y: the class of each row, shape (rows,).

        Raises as `GradstreamRegressor.fit` does, and ValueError when all rows are of one class.
        """
        features, labels = validate_data(self, X, y, dtype=FLOATS)
        check_classification_targets(labels)
        classes, numbers = np.unique(labels, return_inverse=True)
        if len(classes) == 1:
            raise ValueError(
                f"y: holds one class only, {classes.tolist()[0]!r}; there have to be two or more"
            )
        model = self.model or ("logistic" if len(classes) == 2 else "softmax")
        name = named("model", model, _MODELS)
        is_binary = name == "logistic" or (name == "mlp" and len(classes) == 2)
        weights: list[float] | None = None
        if self.class_weight is not None:
            weights = compute_class_weight(self.class_weight, classes=classes, y=labels).tolist()
        loss = ("log_loss" if is_binary else "cross_entropy", {"class_weights": weights})
        self._train(features, numbers, names_in(y), model, loss)
        self.classes_ = classes
        return self

    def decision_function(self, X: ArrayLike) -> FloatArray:
        """What probabilities are computed from: of two classes the log-odds of the second, shape (rows,), of
        more a number for each, (rows, classes). No server is asked."""
        scores = self._scores(X)
        if len(self.classes_) > 2:
            return scores
        return scores[:, 0] if scores.shape[1] == 1 else scores[:, 1] - scores[:, 0]

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """The probability of each class, shape (rows, classes), in the order of `classes_`."""
        scores = self._scores(X)
        if scores.shape[1] > 1:
            return softmax(scores)
        return np.hstack([sigmoid(-scores), sigmoid(scores)])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class of each row, shape (rows,)."""
        scores = self.decision_function(X)
        labels: NDArray[Any] = self.classes_[
            scores.argmax(axis=1) if scores.ndim > 1 else np.int_(scores > 0)
        ]
        return labels

    @property
    def coef_(self) -> FloatArray:
        """Weights in the units of the features, if the model has no hidden layers: (1, features) for two
        classes, else (classes, features)."""
        return self._linear("coef_")[0]

    @property
    def intercept_(self) -> FloatArray:
        """Biases alike: (1,), or (classes,)."""
        return self._linear("intercept_")[1]
