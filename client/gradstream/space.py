"""What a sweep varies, and which runs that makes: a grid, or seeded draws."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol, TypeAlias

from gradstream.spec import SpecOptions

Value: TypeAlias = bool | int | float | str
Options: TypeAlias = dict[str, Value]
"""Options of `Client.train` that a run has and others have not, by name."""

_DIGITS = 6
"""Of numbers that are drawn: people have to be able to type them again."""


@dataclass(frozen=True)
class Uniform:
    """Numbers from low to high, all as likely; whole ones for an option that takes whole numbers."""

    low: float
    high: float


@dataclass(frozen=True)
class LogUniform:
    """Numbers from low to high, above 0, each order of magnitude as likely."""

    low: float
    high: float


Space: TypeAlias = Mapping[str, Sequence[Value] | Uniform | LogUniform]
"""By the name of an option: the values it takes, or what it is drawn from."""


class Search(Protocol):
    """Says which options to try, and may learn from what has come of others."""

    @property
    def left(self) -> int:
        """How many are to come."""
        ...

    def ask(self) -> tuple[int, Options] | None:
        """The next options, and a number to tell of them; None while what is known does not suffice."""
        ...

    def tell(self, number: int, value: float) -> None:
        """What has come of options: lower is better, infinity is a failure."""
        ...


class Listed:
    """Options that are known from the beginning."""

    def __init__(self, options: Sequence[Options]) -> None:
        self._options = options
        self._next = 0

    @property
    def left(self) -> int:
        return len(self._options) - self._next

    def ask(self) -> tuple[int, Options] | None:
        if not self.left:
            return None
        self._next += 1
        return self._next, self._options[self._next - 1]

    def tell(self, number: int, value: float) -> None:
        """Nothing is learnt."""


def check_space(space: Space, draws: int | None) -> None:
    """Refuse a space that has no runs, or that is no grid where one is asked for, with ValueError."""
    if not space:
        raise ValueError("there is nothing to vary: give values for at least one option")
    if draws is not None and draws < 1:
        raise ValueError(f"draws is {draws}; it has to be at least 1")
    for name, values in space.items():
        if name not in SpecOptions.__annotations__:
            raise ValueError(f"there is no option {name!r} to vary; see help(gradstream.SpecOptions)")
        if isinstance(values, Uniform | LogUniform):
            _check_range(name, values, draws)
        elif isinstance(values, str) or not values:
            raise ValueError(f"{name} needs a list of at least one value to vary")


def _check_range(name: str, values: Uniform | LogUniform, draws: int | None) -> None:
    if SpecOptions.__annotations__[name] not in (int, float):
        raise ValueError(f"{name} takes no numbers to draw: give its values")
    if not (math.isfinite(values.low) and math.isfinite(values.high) and values.low <= values.high):
        raise ValueError(f"{name} is drawn from {values.low:g} to {values.high:g}, which is no range")
    if isinstance(values, LogUniform) and values.low <= 0:
        raise ValueError(f"{name} is drawn from {values.low:g} on, which has no logarithm: begin above 0")
    if is_whole(name) and math.ceil(values.low) > math.floor(values.high):
        raise ValueError(f"{name} takes whole numbers; there is none from {values.low:g} to {values.high:g}")
    if draws is None:
        raise ValueError(f"{name} is drawn from a range, so say how many draws there are to be")


def grid(space: Space) -> list[Options]:
    """Every combination of the values; those of the last option change first."""
    values = [each for each in space.values() if not isinstance(each, Uniform | LogUniform)]
    return [dict(zip(space, combination, strict=True)) for combination in product(*values)]


def draw(space: Space, draws: int, seed: int) -> list[Options]:
    """So many draws. More of them begin with the same; another option beside changes none of an option."""
    columns = {name: _column(name, values, draws, seed) for name, values in space.items()}
    return [{name: column[i] for name, column in columns.items()} for i in range(draws)]


def _column(name: str, values: Sequence[Value] | Uniform | LogUniform, draws: int, seed: int) -> list[Value]:
    source = random.Random(f"{seed} {name}")
    shares = [source.random() for _ in range(draws)]
    if not isinstance(values, Uniform | LogUniform):
        return [values[int(share * len(values))] for share in shares]
    low, high = float(values.low), float(values.high)
    if is_whole(name):
        low, high = math.ceil(low), math.floor(high) + 1
    numbers = [_between(low, high, share, isinstance(values, LogUniform)) for share in shares]
    if is_whole(name):
        return [min(math.floor(number), math.floor(values.high)) for number in numbers]
    return [min(max(float(f"{number:.{_DIGITS}g}"), low), high) for number in numbers]


def _between(low: float, high: float, share: float, logarithmic: bool) -> float:
    return low * (high / low) ** share if logarithmic else low + (high - low) * share


def is_whole(name: str) -> bool:
    """Whether an option takes whole numbers."""
    return SpecOptions.__annotations__[name] is int


def extremes(values: Sequence[Value] | Uniform | LogUniform, name: str) -> Sequence[Value]:
    """Values that have to be allowed for all others to be."""
    if not isinstance(values, Uniform | LogUniform):
        return values
    if is_whole(name):
        return [math.ceil(values.low), math.floor(values.high)]
    return [values.low, values.high]
