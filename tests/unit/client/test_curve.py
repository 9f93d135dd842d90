"""The losses of a run."""

import numpy as np

from gradstream.curve import Curve


def test_it_grows() -> None:
    curve = Curve()
    for start in range(0, 1000, 10):
        epochs = np.arange(start, start + 10)
        curve.extend(epochs, epochs / 2)
    assert curve.epochs.tolist() == list(range(1000))
    assert curve.losses.tolist() == [i / 2 for i in range(1000)]


def test_what_was_handed_out_does_not_change() -> None:
    curve = Curve()
    curve.extend(np.array([1, 2]), np.array([4.0, 3.0]))
    before = curve.losses
    curve.extend(np.array([5, 9]), np.array([2.0, 1.0]))
    assert before.tolist() == [4.0, 3.0]
    assert curve.epochs.tolist() == [1, 2, 5, 9]
    curve.extend(np.array([], int), np.array([]))
    assert curve.losses.tolist() == [4.0, 3.0, 2.0, 1.0]
