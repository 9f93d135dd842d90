"""Far fewer rows with the same squared error.

For a linear model the squared error is quadratic in the parameters, and all it needs of n rows of data is
X'X, X'Y and Y'Y. To compute with these directly would lose half the digits when the error is small, because
w'X'X w - 2 w'X'y + y'y is then a small difference of large numbers. Their triangular square root has the same
content and loses nothing: the QR decomposition

    [X Y] = Q [A B],   A (m, d), B (m, t), m = d + t,

with orthonormal columns in Q, leaves lengths as they are, so for every W

    |X W' - Y|^2 = |Q (A W' - B)|^2 = |A W' - B|^2   and   X'(X W' - Y) = A'(A W' - B).

In other words, A and B are a data set of m rows with the squared error and the gradient of the n rows,
whatever the rank of X. The trainer runs on them unchanged, and an epoch costs O(m d t) instead of O(n d t).
(Golub and Van Loan, Matrix Computations, 5.3.2 and 5.2.3.)
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstream_server.trainers.problem import Problem

_BLOCK_ELEMENTS = 1 << 13
"""Numbers decomposed at once: few enough to stay in the processor's cache, and for OpenBLAS not to spread the
many small steps of a decomposition over threads, which takes a hundred times as long when cores are busy."""

_WORTHWHILE_ELEMENTS = 1 << 14
"""Features times rows from which an epoch costs arithmetic rather than the overhead of calling NumPy."""

_QR_COST = 4.0
"""Time of a multiplication in the decomposition (float64) over that in an epoch (float32), rounded up."""


def cheaper(problem: Problem) -> bool:
    """Whether to condense the data and train on the condensed rows costs less than to train on the data.

    Only for a full batch on the CPU. On a GPU an epoch is a few kernel launches however many rows there are.
    """
    rows, features = problem.features.shape
    targets = problem.targets.shape[1]
    columns = features + problem.intercept + targets
    if problem.loss.name != "mse":
        return False
    if problem.device != "cpu" or problem.batch_size < rows or rows * features < _WORTHWHILE_ELEMENTS:
        return False
    # Multiplications: prediction and gradient each take rows * features * targets.
    saved: float = 2.0 * problem.epochs * (rows - columns) * features * targets
    return bool(saved > _QR_COST * rows * columns**2)


def condense(
    features: NDArray[np.floating[Any]],
    targets: NDArray[np.floating[Any]],
    ones: NDArray[np.floating[Any]] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most d + t rows, in float64, that stand for the n rows of features (n, d) and targets (n, t).

    With a column of ones (n, 1) for the bias, which comes behind the features, at most d + 1 + t. In float64
    whatever the dtype of the data: the condensed rows are sums over all of them.
    """
    parts = [features, targets] if ones is None else [features, ones, targets]
    columns = sum(part.shape[1] for part in parts)
    triangle = np.empty((0, columns))
    block_rows = max(_BLOCK_ELEMENTS // columns, 4 * columns)
    for start in range(0, features.shape[0], block_rows):
        rows = slice(start, start + block_rows)
        block = np.concatenate([part[rows] for part in parts], axis=1, dtype=np.float64)
        # An array already; NumPy's type stubs know the tuple of the other modes only.
        triangle = np.asarray(np.linalg.qr(np.concatenate((triangle, block)), mode="r"))
    # Contiguous, as the trainer's own arrays.
    a, b = np.hsplit(triangle, [columns - targets.shape[1]])
    return np.ascontiguousarray(a), np.ascontiguousarray(b)
