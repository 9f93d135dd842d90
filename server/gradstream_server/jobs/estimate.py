"""What a spec would take: a rough estimate from counts of bytes and operations."""

from dataclasses import dataclass

from gradstream_server.jobs.spec import Spec

# An epoch of one update costs at least its calls, whatever the size of the data (`python
# benchmarks/trainers.py`, the reference experiment).
_CALLS_S = {"manual": 8e-6, "autograd": 35e-6, "module": 70e-6}
_OTHER_CALLS_S = 100e-6
# Passes over the data of one update, forward and backward, and how fast memory is read.
_PASSES = 3
_BYTES_PER_S = 5e9
# Multiplications and additions, forward and backward.
_PRODUCTS_PER_S = 5e9
_LONGEST_S = 100 * 365 * 86400.0
# A shuffled epoch copies the rows in a random order.
_SHUFFLE_BYTES_PER_S = 5e8


@dataclass(frozen=True)
class Estimate:
    """What a spec would take beside the worker itself."""

    memory_bytes: int
    duration_s: float


def estimate(spec: Spec) -> Estimate:
    """Memory at the peak, and time on an idle machine, of a spec."""
    rows, columns = spec.data.rows, len(spec.data.feature_names) + len(spec.data.target_names)
    itemsize = 4 if spec.dtype == "float32" else 8
    data_bytes = rows * columns * itemsize
    # Nothing is known here of an installed module.
    parameters = spec.parameter_count or 0
    # As read and as trained; scaled in float64; in a random order; residuals of a batch.
    memory = 2 * data_bytes + spec.shuffle * data_bytes + spec.batch_size * columns * itemsize
    memory += spec.standardize * rows * columns * 8 + 4 * parameters * 8

    updates = -(-rows // spec.batch_size)
    products = 4 * rows * parameters
    epoch_s = updates * _CALLS_S.get(spec.trainer, _OTHER_CALLS_S)
    epoch_s += _PASSES * data_bytes / _BYTES_PER_S + products / _PRODUCTS_PER_S
    if spec.shuffle:
        epoch_s += data_bytes / _SHUFFLE_BYTES_PER_S
    return Estimate(memory_bytes=memory, duration_s=min(spec.epochs * epoch_s, _LONGEST_S))
