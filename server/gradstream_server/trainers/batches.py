"""Which rows make up each update: the same for every trainer."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from gradstream_server.trainers.problem import Array, Problem

Batch = tuple[Array, Array, int]
"""Features (rows, features) and targets (rows, targets) of one update, and the number of squared errors that
they stand for: those of the data, even where few condensed rows stand for many (sufficient_statistics.py)."""

Take = Callable[[Array, NDArray[np.int64]], Array]
"""Gives the rows of an array in the order given: how that is done depends on the kind of array."""


def order(rows: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order (rows,) in which an epoch, counted from 1, visits the rows.

    It depends on the arguments alone, not on the epochs before, so training that goes on from a checkpoint
    needs no generator state to see the same batches.
    """
    generator = np.random.Generator(np.random.PCG64((seed, epoch)))
    return generator.permutation(rows)


def epochs(
    problem: Problem, features: Array, targets: Array, take: Take, after: int = 0
) -> Iterator[Iterable[Batch]]:
    """The batches of each epoch that comes after one. The last batch of an epoch may be smaller.

    A full batch is never shuffled: its gradient does not depend on the order of the rows.
    """
    rows = problem.features.shape[0]
    if problem.batch_size >= rows:
        whole = [(features, targets, problem.targets.size)]
        for _ in range(after, problem.epochs):
            yield whole
        return
    for epoch in range(after + 1, problem.epochs + 1):
        if problem.shuffle:
            # Once an epoch: slicing rows that lie in order is several times faster than gathering each batch.
            rows_in_order = order(rows, problem.seed, epoch)
            yield _slices(take(features, rows_in_order), take(targets, rows_in_order), problem.batch_size)
        else:
            yield _slices(features, targets, problem.batch_size)


def _slices(features: Array, targets: Array, batch_size: int) -> Iterator[Batch]:
    rows, width = targets.shape
    for start in range(0, rows, batch_size):
        end = min(start + batch_size, rows)
        yield features[start:end, :], targets[start:end, :], (end - start) * width
