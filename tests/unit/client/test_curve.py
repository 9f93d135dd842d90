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


def test_a_second_try_replaces_what_it_goes_through_again() -> None:
    curve = Curve()
    curve.extend(np.array([1, 2, 3, 4]), np.array([4.0, 3.0, 2.0, 1.0]))
    before = curve.losses
    curve.extend(np.array([3, 4, 5]), np.array([20.0, 10.0, 5.0]))
    assert curve.epochs.tolist() == [1, 2, 3, 4, 5]
    assert curve.losses.tolist() == [4.0, 3.0, 20.0, 10.0, 5.0]
    assert before.tolist() == [4.0, 3.0, 2.0, 1.0]
