"""Which rows make up each update: the same for every trainer."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from gradstream_server.trainers.problem import Array, Problem

Batch = tuple[Array, Array, int]
"""Features (rows, features) and targets (rows, targets) of one update, and the number of squared errors that
they stand for: those of the data, even where few condensed rows stand for many (sufficient_statistics.py)."""

Which = slice | NDArray[np.int64]
Take = Callable[[Which], tuple[Array, Array]]
"""Gives features and targets of rows that lie together, or of rows by number in an order: how that is done
depends on the kind of array."""

_TAKEN_NUMBERS = 1 << 20
"""Taken at once, or a batch where that is more: so many stay in the processor's cache, and of data larger
than memory no more need be there."""


def order(rows: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order (rows,) in which an epoch, counted from 1, visits the rows.

    It depends on the arguments alone, not on the epochs before, so training that goes on from a checkpoint
    needs no generator state to see the same batches.
    """
    generator = np.random.Generator(np.random.PCG64((seed, epoch)))
    return generator.permutation(rows)


def epochs(problem: Problem, take: Take, after: int = 0) -> Iterator[Iterable[Batch]]:
    """The batches of each epoch that comes after one. The last batch of an epoch may be smaller.

    A full batch is never shuffled: its gradient does not depend on the order of the rows.
    """
    rows = problem.features.shape[0]
    if problem.batch_size >= rows:
        whole = [(*take(slice(None)), problem.targets.size)]
        for _ in range(after, problem.epochs):
            yield whole
        return
    for epoch in range(after + 1, problem.epochs + 1):
        yield _batches(problem, take, epoch)


def blocks(rows: int, numbers: int) -> Iterator[slice]:
    """All rows in their order, so many at once as take little memory; `numbers` are those of a row."""
    at_once = max(1, _TAKEN_NUMBERS // numbers)
    for start in range(0, rows, at_once):
        yield slice(start, start + at_once)


def _batches(problem: Problem, take: Take, epoch: int) -> Iterator[Batch]:
    (rows, features), targets = problem.features.shape, problem.targets.shape[1]
    # Made when the epoch begins: that of the epoch before is gone by then.
    rows_in_order = order(rows, problem.seed, epoch) if problem.shuffle else None
    size = problem.batch_size
    # Many batches at once: slicing rows that lie in order is several times faster than gathering each batch.
    at_once = max(1, _TAKEN_NUMBERS // (size * (features + targets))) * size
    if problem.device != "cpu":
        at_once = rows  # They are there already, and a launch costs more than the memory.
    for first in range(0, rows, at_once):
        last = min(first + at_once, rows)
        which = slice(first, last) if rows_in_order is None else rows_in_order[first:last]
        some_features, some_targets = take(which)
        for start in range(0, last - first, size):
            end = min(start + size, last - first)
            yield some_features[start:end, :], some_targets[start:end, :], (end - start) * targets
