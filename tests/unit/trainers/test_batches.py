"""Batches: every row once an epoch, and no more of the data in memory than a few batches need."""

from collections.abc import Callable

import numpy as np
import pytest

from gradstream_server.trainers import batches
from gradstream_server.trainers.problem import Problem


def problem(rows: int, batch_size: int, shuffle: bool) -> Problem:
    """Two features and a target; the first feature is the number of the row."""
    features = np.stack([np.arange(rows), np.zeros(rows)], axis=1).astype(np.float64)
    return Problem(features, features[:, :1], 2, 0.1, batch_size, shuffle)


def taking(whole: Problem, taken: list[int]) -> Callable[[batches.Which], tuple[np.ndarray, np.ndarray]]:
    """Takes rows, and notes how many at once."""

    def take(which: batches.Which) -> tuple[np.ndarray, np.ndarray]:
        features = whole.features[which]
        taken.append(len(features))
        return features, whole.targets[which]

    return take


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [1, 7, 64, 99])
def test_every_row_once_an_epoch(batch_size: int, shuffle: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows would count twice, or not at all, where one portion of the data ends and the next begins."""
    monkeypatch.setattr(batches, "_TAKEN_NUMBERS", 60)
    whole, taken = problem(100, batch_size, shuffle), []
    for number, epoch in enumerate(batches.epochs(whole, taking(whole, taken)), 1):
        seen = [(features[:, 0].astype(int), elements) for features, _, elements in epoch]
        order = batches.order(100, 0, number) if shuffle else np.arange(100)
        np.testing.assert_array_equal(np.concatenate([rows for rows, _ in seen]), order)
        sizes = [len(rows) for rows, _ in seen]
        assert sizes == [elements for _, elements in seen]
        assert sizes == [batch_size] * (100 // batch_size) + [100 % batch_size] * bool(100 % batch_size)
    assert max(taken) <= max(60 // 3, batch_size), "of data larger than memory, all would be in memory"


def test_a_device_gets_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A launch for every few rows would cost more than all the arithmetic."""
    monkeypatch.setattr(batches, "_TAKEN_NUMBERS", 60)
    cpu, taken = problem(100, 7, True), []
    for epoch in batches.epochs(cpu.__class__(**{**vars(cpu), "device": "cuda:0"}), taking(cpu, taken)):
        assert len(list(epoch)) == 15
    assert taken == [100, 100]
