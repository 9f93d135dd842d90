"""What --vary says: the values of an option, or what it is drawn from."""

import math
from typing import Literal, cast, get_args, get_origin

import click

from gradstream.space import LogUniform, Space, Uniform, Value
from gradstream.spec import Choice, SpecOptions

_RANGES: dict[str, type[Uniform] | type[LogUniform]] = {"uniform": Uniform, "log": LogUniform}
_TRUTHS = {"true": True, "yes": True, "false": False, "no": False}


def variations(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> Space:
    """Options by name, each with values, such as `batch_size=64,256`, or a range: `l2=uniform:0:1`."""
    space: dict[str, list[Value] | Uniform | LogUniform] = {}
    for text in texts:
        name, _, values = text.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        try:
            if name in space:
                raise ValueError(f"{name} is varied twice")
            space[name] = _values(name, values)
        except ValueError as error:
            raise click.BadParameter(f"{text!r}: {error}", context, option) from error
    return space


def _values(name: str, text: str) -> list[Value] | Uniform | LogUniform:
    if not _is_plain(name):
        there = [each for each in SpecOptions.__annotations__ if _is_plain(each)]
        raise ValueError(f"there is no such option to vary, but {', '.join(there)}")
    if not text.strip():
        raise ValueError("give its values, such as learning_rate=0.01,0.1 or learning_rate=log:1e-4:1e-1")
    shape, *bounds = text.split(":")
    if shape.strip() in _RANGES:
        if len(bounds) != 2:
            raise ValueError(f"a range is {shape.strip()}:LOW:HIGH, such as log:1e-4:1e-1")
        low, high = (cast(float, _value(float, bound)) for bound in bounds)
        return _RANGES[shape.strip()](low, high)
    kind = _kind(name)
    return [_value(kind, each) for each in text.split(",")]


def _is_plain(name: str) -> bool:
    return _kind(name) in (bool, int, float, str, Choice) or bool(_choices(_kind(name)))


def _kind(name: str) -> object:
    return SpecOptions.__annotations__.get(name)


def _choices(kind: object) -> tuple[str, ...]:
    return get_args(kind) if get_origin(kind) == Literal else ()


def _value(kind: object, text: str) -> Value:
    text = text.strip()
    if (choices := _choices(kind)) and text not in choices:
        raise ValueError(f"{text!r} is none of {', '.join(choices)}")
    if kind is bool:
        if text.lower() not in _TRUTHS:
            raise ValueError(f"{text!r} is neither true nor false")
        return _TRUTHS[text.lower()]
    if kind not in (int, float):
        if not text:
            raise ValueError("a value is missing")
        return text
    try:
        return int(text) if kind is int else float(text)
    except ValueError:
        number = _number(text)
    if kind is int and math.isfinite(number) and number == int(number):
        return int(number)  # 1e3
    raise ValueError(f"{text!r} is no {'whole ' if kind is int else ''}number")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
