"""Values of options that are more than a number."""

import json
import re
from typing import Any

import click

Start = float | tuple[float, ...] | tuple[tuple[float, ...], ...]
"""A number for all, one for each, or rows of them."""


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt])i?)?b?", re.IGNORECASE)


def memory_size(context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    """Bytes: a number, or one with a unit, such as 512M, 1.5G or 2GiB; units are powers of 1024."""
    if text is None:
        return None
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        message = f"{text!r} is no size: give bytes, or a number with K, M, G or T, such as 512M"
        raise click.BadParameter(message, context, option)
    number, prefix = found.groups(default="")
    unit: int = 1 << 10 * " kmgt".index(prefix.lower() or " ")
    return int(number) * unit if number.isdecimal() else round(float(number) * unit)


def initial_parameters(
    context: click.Context, option: click.Parameter, texts: tuple[str, ...]
) -> dict[str, Start]:
    """Parameters by name, each a number, several, or rows of them that end in semicolons."""
    parameters: dict[str, Start] = {}
    for text in texts:
        name, _, value = text.partition("=")
        *rows, last = value.split(";")
        try:
            numbers = tuple(_numbers(row) for row in (*rows, last) if row) if rows else _numbers(last)
        except ValueError:
            numbers = ()
        if not name.strip() or not numbers:
            message = f"{text!r} is no start: give weight or bias, = and a number, such as weight=0.5"
            raise click.BadParameter(message, context, option)
        if name.strip() in parameters:
            raise click.BadParameter(f"{name.strip()} is given twice", context, option)
        parameters[name.strip()] = numbers[0] if len(numbers) == 1 and not rows else numbers
    return parameters


def part_options(
    context: click.Context, option: click.Parameter, texts: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """Options by part and name; values are JSON, a list of them with commas between, or else a text."""
    parts: dict[str, dict[str, Any]] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        part, dot, name = path.strip().partition(".")
        if not (part and dot and name and equals):
            message = f"{text!r} is no option: give PART.OPTION=VALUE, such as optimizer.momentum=0.9"
            raise click.BadParameter(message, context, option)
        if name in parts.setdefault(part, {}):
            raise click.BadParameter(f"{path.strip()} is given twice", context, option)
        parts[part][name] = _json(value)
    return parts


def _json(text: str) -> Any:
    for candidate in (text, f"[{text}]"):
        try:
            return json.loads(candidate)
        except ValueError:
            continue
    return text


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))
