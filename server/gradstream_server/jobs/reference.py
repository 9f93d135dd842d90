"""The reference experiments: what a spec without data trains, and with which choices.

They are three runs of one notebook, and come out digit for digit; docs/three-gradients.md tells why they
converge at different speeds.
"""

from dataclasses import dataclass

import numpy as np

from gradstream_server.jobs.spec import InlineData, Reduction, summarize

_X = np.array([[1], [2], [3], [4]], dtype=np.float32)

DATA = InlineData(features=_X, targets=2 * _X, feature_names=("x",), target_names=("y",))
SUMMARY = summarize(DATA, inline=False)
PREDICT_ROWS = np.array([[5]], dtype=np.float32)


@dataclass(frozen=True)
class Defaults:
    """What an unset field becomes."""

    epochs: int = 100
    reduction: Reduction = "mean"
    intercept: bool = True


WITH_DATA = Defaults()
REFERENCE = {
    "manual": Defaults(epochs=20, reduction="sum", intercept=False),
    "autograd": Defaults(intercept=False),
}
"""The choices of each trainer's reference experiment, where they differ from those with data."""
