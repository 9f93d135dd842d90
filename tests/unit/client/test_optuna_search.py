"""Optuna's draws: the same each time, and better for what is learnt."""

import math
import random

import pytest

from gradstream.optuna_search import OptunaSearch
from gradstream.space import LogUniform, Options, Space, Uniform

SPACE: Space = {
    "learning_rate": LogUniform(1e-4, 1.0),
    "batch_size": Uniform(1, 64),
    "trainer": ["manual", "module"],
}


def loss(options: Options) -> float:
    distance = abs(math.log10(float(options["learning_rate"])) + 2)
    return math.inf if options["trainer"] == "module" else distance


def asked(search: OptunaSearch, order: random.Random) -> list[Options]:
    """All that a search asks for, when runs end in a random order."""
    options: dict[int, Options] = {}
    running: list[int] = []
    while search.left or running:
        while found := search.ask():
            options[found[0]] = found[1]
            running.append(found[0])
        number = running.pop(order.randrange(len(running)))
        search.tell(number, loss(options[number]))
    return [options[number] for number in sorted(options)]


@pytest.mark.parametrize("at_once", [1, 3])
def test_draws_do_not_depend_on_how_long_runs_take(at_once: int) -> None:
    """A sweep that was interrupted would train other options instead of going on."""
    first = asked(OptunaSearch(SPACE, 25, 7, at_once), random.Random(0))
    assert len(first) == 25
    for seed in (1, 2):
        assert asked(OptunaSearch(SPACE, 25, 7, at_once), random.Random(seed)) == first
    assert asked(OptunaSearch(SPACE, 25, 8, at_once), random.Random(0)) != first


def test_it_learns_from_what_has_come() -> None:
    """Optuna would be random draws at a greater cost; what failed would be tried again and again."""
    draws = asked(OptunaSearch(SPACE, 60, 0, 2), random.Random(0))
    early = sum(each["trainer"] == "module" for each in draws[:20])
    late = sum(each["trainer"] == "module" for each in draws[-20:])
    assert late < early
    assert min(map(loss, draws)) < 0.1


def test_what_it_draws_fits() -> None:
    for options in asked(OptunaSearch(SPACE, 30, 0, 4), random.Random(0)):
        assert 1e-4 <= float(options["learning_rate"]) <= 1
        assert type(options["batch_size"]) is int
        assert 1 <= options["batch_size"] <= 64
        assert options["trainer"] in ("manual", "module")


def test_no_more_are_asked_for_at_once_than_may_run() -> None:
    search = OptunaSearch(SPACE, 9, 0, 2)
    first, second = search.ask(), search.ask()
    assert first is not None
    assert second is not None
    assert search.ask() is None
    search.tell(second[0], 1.0)
    assert search.ask() is None, "the next draw is made from the first"
    search.tell(first[0], 1.0)
    assert search.ask() is not None
    assert search.left == 6
