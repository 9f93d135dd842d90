"""Some of the rows: those to measure on, and the others."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradstream_server.data.rows import Block, Source
from gradstream_server.jobs.spec import Validation
from gradstream_server.trainers import batches


def held_out(validation: Validation, rows: int, seed: int) -> NDArray[np.bool_]:
    """Which of so many rows are measured on, (rows,). What is drawn depends on the seed alone."""
    picked = np.zeros(rows, np.bool_)
    count = validation.count(rows)
    if validation.last_rows:
        picked[max(rows - count, 0) :] = True
    else:
        # As the order of an epoch before the first would be: no epoch that is trained has the same.
        picked[batches.order(rows, seed, epoch=0)[:count]] = True
    return picked


@dataclass(frozen=True)
class PickedRows:
    """Those rows of a source that are picked, in its order."""

    source: Source
    picked: NDArray[np.bool_]
    """(rows,)"""

    @property
    def bounds(self) -> Block:
        return self.source.bounds

    def blocks(self) -> Iterator[Block]:
        start = 0
        for features, targets in self.source.blocks():
            here = self.picked[start : start + len(targets)]
            yield features[here], targets[here]
            start += len(targets)
