"""Regression on a gradstream server."""

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils.validation import validate_data

from gradstream.events import FloatArray
from gradstream.request import names_in
from gradstream.sklearn.estimator import FLOATS, MOMENTUM, Estimator
from gradstream.sklearn.parameters import named
from gradstream.spec import Choice

# Without installed modules, which only a server that has them can predict with.
_MODELS = ("linear", "mlp")
_LOSSES = ("mse", "l1", "huber")


class GradstreamRegressor(RegressorMixin, Estimator):
    """Predicts numbers, of one target or several. Training is on a server, prediction is not.

        model = GradstreamRegressor(server="127.0.0.1:50051").fit(X, y)

    Parameters are options of `Client.train`, and where None the server chooses. Choices are a name, or a name
    and options: `gradstream info --parts` lists what there is.

    server: as for `Client`. None: the environment's GRADSTREAM_SERVER, else that of the default profile, else
        127.0.0.1:50051. Whether TLS is spoken, the environment or the profile says.
    trainer: "manual", "autograd" or "module", which alone has all models and optimizers.
    device: where to train, such as "cpu" or "cuda:0". None: the first that the server has.
    model: "linear" or ("mlp", {"hidden": [64, 64]}), a multilayer perceptron. None: "linear".
    loss: what is made small: "mse", "l1" or "huber". None: "mse".
    optimizer: how a gradient becomes an update, such as "adam", or "sgd" as by default, with momentum.
    schedule: how the learning rate changes from epoch to epoch, such as "cosine".
    learning_rate: step length. None: 0.01 for sgd, torch's own for other optimizers.
    epochs: how often to go through all rows.
    batch_size: rows per update. None: all of them.
    l2: strength of L2 regularization of the weights.
    intercept: whether the model has a bias.
    standardize: whether features are scaled to mean 0 and standard deviation 1 on the server.
    validation_fraction: the share of the rows that is not learnt from, but measured on after each epoch.
    patience: end training when the validation loss (the loss without one) has not improved for so many
        epochs; the model is then that of the best.
    min_delta: by more than how much it has to improve to count. None: 0.
    dtype: precision of training. None: that of the features. Predictions are float64.
    random_state: seed of everything random: the job's own if it is a whole number.
    warm_start: whether fitting again starts from the parameters that are there.
    model_name: the name of the model on the server. None: that of its job.
    progress: whether the run is shown while it trains.

    Once fitted it has, beside what scikit-learn's have, `bundle_`, `job_`, `n_iter_`, `loss_curve_`,
    `validation_loss_curve_`, and if it is linear `coef_` and `intercept_`.
    """

    def __init__(
        self,
        *,
        server: str | None = None,
        trainer: str = "module",
        device: str | None = None,
        model: Choice | None = None,
        loss: Choice | None = None,
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
        self.loss = loss
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

        X: shape (rows, features). y: shape (rows,), or (rows, targets) for several targets.

        Raises ValueError for what cannot be learnt from and for what the server refuses, by the name of the
        parameter; a GradstreamError when it cannot be reached or training fails.
        """
        features, targets = validate_data(self, X, y, dtype=FLOATS, multi_output=True, y_numeric=True)
        model, loss = self.model or "linear", self.loss or "mse"
        named("model", model, _MODELS)
        named("loss", loss, _LOSSES)
        self._train(features, targets, names_in(y), model, loss)
        self._is_flat = targets.ndim == 1
        return self

    def predict(self, X: ArrayLike) -> FloatArray:
        """Predictions, of the shape that `y` had; no server is asked. ValueError for rows of another kind."""
        scores = self._scores(X)
        return scores[:, 0] if self._is_flat else scores

    @property
    def coef_(self) -> FloatArray:
        """Weights of a linear model in the data's own units: (features,), or (targets, features)."""
        weight, _ = self._linear("coef_")
        return weight[0] if self._is_flat else weight

    @property
    def intercept_(self) -> FloatArray | float:
        """Bias of a linear model in the data's own units: a number, or (targets,)."""
        _, bias = self._linear("intercept_")
        return float(bias[0]) if self._is_flat else bias

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
