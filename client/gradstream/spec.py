"""What to train: the options that a caller gives, and the spec that the server makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from gradstream.dataset import Dataset


JsonValue = None | bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
Choice = str | tuple[str, Mapping[str, JsonValue]]
"""A part by name, or by name and options: "adam", or ("adam", {"weight_decay": 0.01})."""


class SpecOptions(TypedDict, total=False):
    """Keywords of `train`, `create` and `validate`. The server chooses what is not given."""

    trainer: str
    """How the gradient is obtained: "manual" (the default), "autograd" or "module"."""
    device: str
    """Where to train: "auto", "cpu", "cuda", "cuda:N" or "mps". Default: the first the server has."""
    epochs: int
    """How often to go through all rows. Default 100; 20 for the manual reference experiment."""
    learning_rate: float
    """Step length. Default 0.01 for sgd, torch's own for other optimizers."""
    batch_size: int
    """Rows per update. Default: all of them."""
    shuffle: bool
    """Whether rows are visited in a new order every epoch. Default: only with mini-batches."""
    gradient_reduction: Literal["mean", "sum"]
    """Gradient of the mean or the sum of squared errors. Default: the mean."""
    intercept: bool
    """Whether the model has a bias. Default: yes."""
    l2: float
    """Strength of L2 regularization of the weight. Default 0."""
    dtype: Literal["float32", "float64"]
    """Precision of training. Default: that of the features."""
    seed: int
    """Seed of everything random. Default 0."""
    standardize: bool
    """Whether features are scaled to mean 0 and standard deviation 1 first. Default: no."""
    initial_parameters: Mapping[str, ArrayLike]
    """Where training starts, in the data's own units: "weight" (targets, features), "bias" (targets). A
    single number fills the whole parameter."""
    report_every: int
    """Epochs 1, 1 + n, 1 + 2n and so on are reported, and the last. Default 1: all."""
    predict_rows: ArrayLike
    """Rows to predict before and after training, shape (rows, features); a flat list is one row, or one
    row a number where there is one feature."""
    feature_names: Sequence[str]
    """A name for each feature. Default: the columns of a table that has some, else x1, x2 and so on."""
    target_names: Sequence[str]
    """A name for each target. Default: the columns of a table that has some, else y1, y2 and so on."""
    dataset: "str | Dataset"
    """The data set to learn from, or its digest, in place of features and targets."""
    target_columns: str | Sequence[str]
    """Columns of the data set to predict."""
    feature_columns: Sequence[str]
    """Columns of the data set to learn from. Default: all of numbers but the targets, and `one_hot`."""
    one_hot: Sequence[str]
    """Feature columns of text, or of whole numbers that stand for kinds, each encoded as one feature for each
    of its values."""
    max_categories: int
    """How many different values a column of `one_hot` may have. Default 100."""
    nulls: Literal["error", "drop", "mean"]
    """What to do about rows without a value: refuse the spec (the default), leave the row out, or take the
    mean of the feature."""
    max_memory_bytes: int
    """Memory that training may take beside the worker's own, at least 64 MiB; 0: no limit. A job that needs
    more fails with OUT_OF_MEMORY. Default, and at most: the server's `max_job_memory_bytes`."""
    max_seconds: float
    """How long the job may run, over all attempts; 0: no limit. One that takes longer fails with
    TIME_LIMIT_EXCEEDED. Default, and at most: the server's `max_job_seconds`."""
    model: Choice
    """What is trained: "linear" (the default), "logistic" and others. `Client.server_info().parts` lists
    what can be chosen by name, with the options of each. An option that is not given has its default."""
    loss: Choice
    """What is made small. Default: "mse", or that of the model, "log_loss" or "cross_entropy"."""
    initialization: Choice
    """How weights that are not given start: "default", the trainer's own, and others."""
    optimizer: Choice
    """How a gradient becomes an update: "sgd" (the default) and others."""
    schedule: Choice
    """How the learning rate changes from epoch to epoch: "none" (the default), "cosine" and others."""
    clipping: Choice
    """What is done to a gradient that is too long: "none" (the default), "norm" or "value"."""
    validation: "float | int | tuple[ArrayLike, ArrayLike] | Dataset | str"
    """Rows that the model is measured on after each epoch, and that nothing is learnt from: a share of the
    rows, such as 0.2, drawn by `seed`; a whole number: so many of the last rows; features and targets; or,
    with `dataset`, another data set with the same columns, or its digest. Default: none."""
    metrics: Sequence[str]
    """What is measured of them beside the loss: of numbers "mae", "rmse" and "r2", of classes "accuracy",
    "log_loss" and "auc". Default: all that fit the loss."""
    patience: int
    """End training when what is monitored has not improved for so many epochs. Default: it is not."""
    monitor: str
    """What that is: "validation_loss" (the default with validation), "loss" (without), or a metric."""
    min_delta: float
    """By more than how much it has to improve to count. Default 0."""
    restore_best: bool
    """Whether the model is that of the best epoch instead of the last. Default: with `patience` only."""
    stop_after_seconds: float
    """End training, successfully, with the first epoch that is over so many seconds after the first began;
    0: no limit. Default: none."""
    mixed_precision: Choice
    """Whether the forward pass is computed in 16 bits: "none" (the default), "bfloat16" or "float16"."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the training that was chosen by name."""

    name: str
    options: dict[str, JsonValue]
    """All of them, defaults too."""


@dataclass(frozen=True, slots=True, eq=False)
class Spec:
    """What a job trains, with every choice made by the server. The numbers of its data are left out."""

    trainer: str
    device: str
    epochs: int
    learning_rate: float
    batch_size: int
    shuffle: bool
    gradient_reduction: str
    """ "mean" or "sum"."""
    intercept: bool
    l2: float
    dtype: str
    """ "float32" or "float64"."""
    seed: int
    standardize: bool
    initial_parameters: dict[str, NDArray[np.floating]]
    report_every: int
    predict_rows: NDArray[np.floating] | None
    """Shape (rows, features); None when none are asked for."""
    reference: bool
    """Whether it is the trainer's reference experiment rather than data of the caller's."""
    dataset: str
    """The digest of the data set that is learnt from; empty for data that came with the spec."""
    feature_names: tuple[str, ...]
    """As the model has them, one-hot columns encoded. Empty for the reference experiment."""
    target_names: tuple[str, ...]
    """Empty for the reference experiment."""
    max_memory_bytes: int
    """0: no limit."""
    max_seconds: float
    """0: no limit."""
    parts: dict[str, Part]
    """What was chosen by name, by the option of `train` that it is for, such as "optimizer"."""
    classes: tuple[str, ...]
    """Names of the classes, by number; empty where the targets are numbers."""
    data_digest: str
    """SHA-256 of the data in hexadecimal."""
    validation_fraction: float | None = None
    """The share of the rows that is measured on. Of this and the next two one is there, or none."""
    validation_rows: int | None = None
    """How many of the last rows are measured on."""
    validation_dataset: str | None = None
    """The digest of the data set that is measured on."""
    metrics: tuple[str, ...] = ()
    """What is measured of these rows beside the loss."""
    patience: int | None = None
    monitor: str | None = None
    """None, as the next two, where neither `patience` nor `restore_best` asks for it."""
    min_delta: float | None = None
    restore_best: bool | None = None
    stop_after_seconds: float | None = None
    stop_after_epochs: int | None = None
    """Set by a replay: training ends after so many epochs, though schedules reckon with all."""
