"""What every trainer in the registry has to do: a further one is tested by being there."""

import numpy as np
import pytest
from tests.domain import resolved, table

from gradstream_server.executors.training import Environment, Training
from gradstream_server.jobs import reference
from gradstream_server.jobs.events import Completed, EpochUpdates, Event, Started
from gradstream_server.jobs.spec import InlineData
from gradstream_server.trainers.registry import TRAINERS

pytestmark = pytest.mark.parametrize("trainer", TRAINERS)


def run(trainer: str, data: InlineData | None = None, **fields: object) -> list[Event]:
    spec = resolved(trainer, device="cpu", data=data, **fields)
    training = Training(spec, data or reference.DATA, Environment(1, {}))
    return [event for events in training.run(lambda: False) for event in events]


def test_it_trains_its_reference_experiment(trainer: str) -> None:
    """A user who asks for nothing but the trainer would not learn that y is 2x."""
    started, *updates, completed = run(trainer)
    assert isinstance(started, Started)
    assert (started.rows, started.features, started.targets) == (4, 1, 1)
    assert started.predictions is not None
    assert started.predictions.shape == (1, 1)
    losses = np.concatenate([update.losses for update in updates if isinstance(update, EpochUpdates)])
    assert len(losses) == resolved(trainer).epochs
    assert losses[-1] < losses[0] / 10
    assert isinstance(completed, Completed)
    assert completed.predictions is not None
    np.testing.assert_allclose(completed.predictions, [[10]], atol=1)
    assert completed.final_loss == losses[-1]
    assert {value.dtype.name for value in completed.parameters.values()} == {"float32"}


@pytest.mark.parametrize("batch_size", [None, 7, 1])
def test_it_learns_a_linear_relation_of_several_targets(trainer: str, batch_size: int | None) -> None:
    """A user's own table, in mini-batches or not, would not be learnt."""
    noise = np.random.default_rng(0).normal(size=(20, 2))
    data = InlineData(noise, noise @ np.array([[1.0, 2, 3], [4, 5, 6]]) + 1)
    completed = run(trainer, data, batch_size=batch_size, learning_rate=0.15, epochs=500)[-1]
    assert isinstance(completed, Completed)
    np.testing.assert_allclose(completed.parameters["weight"], [[1, 4], [2, 5], [3, 6]], rtol=1e-4)
    np.testing.assert_allclose(completed.parameters["bias"], [1, 1, 1], rtol=1e-4)


def test_the_same_spec_gives_the_same_model(trainer: str) -> None:
    """A user could not repeat a training."""
    data = table(rows=10)
    first, second, other = (run(trainer, data, batch_size=3, seed=seed)[-1] for seed in (3, 3, 4))
    assert isinstance(first, Completed)
    assert isinstance(second, Completed)
    assert isinstance(other, Completed)
    assert first.receipt.parameter_digest == second.receipt.parameter_digest
    assert first.receipt.parameter_digest != other.receipt.parameter_digest
