"""What a sweep varies: which runs that makes, in which order, and the same ones each time."""

import math
from collections import Counter
from itertools import pairwise

import pytest

from gradstream.space import Listed, LogUniform, Space, Uniform, check_space, draw, extremes, grid

RATES = LogUniform(1e-4, 1e-1)


def test_a_grid_has_every_combination_in_order() -> None:
    space: Space = {"learning_rate": [0.01, 0.1], "batch_size": (64, 256), "shuffle": [True]}
    assert grid(space) == [
        {"learning_rate": 0.01, "batch_size": 64, "shuffle": True},
        {"learning_rate": 0.01, "batch_size": 256, "shuffle": True},
        {"learning_rate": 0.1, "batch_size": 64, "shuffle": True},
        {"learning_rate": 0.1, "batch_size": 256, "shuffle": True},
    ]


def test_the_same_seed_draws_the_same() -> None:
    """A sweep that goes on would train everything again."""
    space: Space = {"learning_rate": RATES, "l2": Uniform(0, 1), "trainer": ["manual", "module"]}
    assert draw(space, 50, 1) == draw(space, 50, 1)
    assert draw(space, 50, 1) != draw(space, 50, 2)
    assert draw(space, 1, 0)[0] == {"learning_rate": 0.0103555, "l2": 0.256559, "trainer": "manual"}


def test_more_draws_begin_with_the_same() -> None:
    """Who wants ten runs more would train the first ten again."""
    space: Space = {"learning_rate": RATES, "batch_size": Uniform(1, 100)}
    assert draw(space, 20, 3)[:10] == draw(space, 10, 3)


def test_an_option_is_drawn_whatever_stands_beside_it() -> None:
    alone = [each["learning_rate"] for each in draw({"learning_rate": RATES}, 20, 0)]
    beside = draw({"l2": Uniform(0, 1), "learning_rate": RATES}, 20, 0)
    assert [each["learning_rate"] for each in beside] == alone


def test_draws_are_spread_as_they_are_said_to_be() -> None:
    """Who asks for orders of magnitude would get large numbers alone."""
    uniform = [float(each["l2"]) for each in draw({"l2": Uniform(2, 4)}, 4000, 0)]
    assert all(2 <= each <= 4 for each in uniform)
    assert all(1800 < count < 2200 for count in Counter(math.floor(each) for each in uniform).values())
    rates = [float(each["learning_rate"]) for each in draw({"learning_rate": RATES}, 4000, 0)]
    assert all(1e-4 <= each <= 1e-1 for each in rates)
    orders = Counter(math.floor(math.log10(each)) for each in rates)
    assert all(1200 < count < 1460 for count in orders.values()), orders
    assert all(float(f"{each:.6g}") == each for each in rates), "people have to type them again"


@pytest.mark.parametrize("kind", [Uniform, LogUniform])
def test_whole_numbers_are_drawn_for_options_that_take_them(kind: type[Uniform] | type[LogUniform]) -> None:
    """The server would refuse half a row."""
    sizes = [each["batch_size"] for each in draw({"batch_size": kind(1, 4)}, 4000, 0)]
    assert all(type(each) is int for each in sizes)
    counts = [count for _, count in sorted(Counter(sizes).items())]
    assert len(counts) == 4
    if kind is LogUniform:
        assert all(more > less for more, less in pairwise(counts))
    else:
        assert all(900 < count < 1100 for count in counts)
    assert {each["batch_size"] for each in draw({"batch_size": kind(1.5, 2.5)}, 50, 0)} == {2}


def test_values_are_chosen_evenly() -> None:
    chosen = Counter(each["trainer"] for each in draw({"trainer": ["manual", "autograd", "module"]}, 3000, 0))
    assert all(900 < count < 1100 for count in chosen.values())


@pytest.mark.parametrize(
    ("space", "draws", "text"),
    [
        ({}, None, "nothing to vary"),
        ({"learning_rate": []}, None, "learning_rate needs a list of at least one"),
        ({"trainer": "manual"}, None, "trainer needs a list"),
        ({"learningrate": [1]}, None, "no option 'learningrate'"),
        ({"learning_rate": RATES}, None, "say how many draws"),
        ({"learning_rate": [1]}, 0, "draws is 0"),
        ({"l2": Uniform(2, 1)}, 5, "from 2 to 1, which is no range"),
        ({"l2": Uniform(0, math.inf)}, 5, "no range"),
        ({"l2": Uniform(math.nan, 1)}, 5, "no range"),
        ({"learning_rate": LogUniform(0, 1)}, 5, "no logarithm"),
        ({"batch_size": Uniform(1.2, 1.8)}, 5, "takes whole numbers; there is none"),
        ({"trainer": Uniform(0, 1)}, 5, "trainer takes no numbers"),
    ],
)
def test_what_cannot_be_varied(space: Space, draws: int | None, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        check_space(space, draws)


def test_what_has_to_be_allowed() -> None:
    assert list(extremes([1, 5, 2], "epochs")) == [1, 5, 2]
    assert list(extremes(Uniform(0.5, 7.5), "epochs")) == [1, 7]
    assert list(extremes(RATES, "learning_rate")) == [1e-4, 1e-1]


def test_a_list_is_asked_for_in_order() -> None:
    search = Listed([{"epochs": 1}, {"epochs": 2}])
    assert search.left == 2
    assert [search.ask(), search.ask(), search.ask()] == [(1, {"epochs": 1}), (2, {"epochs": 2}), None]
    assert search.left == 0
