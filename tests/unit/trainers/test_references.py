"""The three reference experiments, digit for digit: what a user compares with the published figures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gradstream_server.trainers.problem import Problem
from gradstream_server.trainers.registry import load

REFERENCES = Path(__file__).parents[2] / "reference"
X = np.array([[1], [2], [3], [4]], np.float32)
REFERENCE = Problem(X, 2 * X, epochs=100, learning_rate=0.01, batch_size=4, intercept=False)
PROBLEMS = {
    "manual": (replace(REFERENCE, epochs=20, reduction="sum"), 2),
    "autograd": (REFERENCE, 10),
    "module": (
        replace(
            REFERENCE,
            intercept=True,
            initial={"weight": np.float32([[0.7268983721733093]]), "bias": np.float32([-0.5131938457489014])},
        ),
        10,
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_digit_of_the_reference(name: str) -> None:
    problem, every = PROBLEMS[name]
    trainer = load(name)(problem)
    five = np.float32([[5]])
    lines = [f"prediction before training: f(5) = {trainer.predict(five)[0, 0]:.3f}"]
    for epoch, loss in enumerate(trainer.train(), 1):
        if epoch % every == 1:
            lines.append(f"epoch {epoch}: w = {trainer.parameters()['weight'][0, 0]:.3f}, loss = {loss:.8f}")
    lines.append(f"prediction after training: f(5) = {trainer.predict(five)[0, 0]:.3f}")
    expected = (REFERENCES / f"{name}.txt").read_text().splitlines()
    assert lines == [line for line in expected if not line.startswith("n_samples")]
