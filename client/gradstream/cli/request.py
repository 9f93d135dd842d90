"""From options of the command line to what the client is asked for."""

from dataclasses import dataclass
from typing import Any, cast

import click
import numpy as np
from numpy.typing import NDArray

from gradstream.cli.csv_table import read_table
from gradstream.cli.report import counted
from gradstream.cli.values import Start
from gradstream.request import PART_OPTIONS
from gradstream.spec import SpecOptions

_MOST_NAMES = 10


@dataclass(frozen=True, eq=False)
class Request:
    """Arguments of `Client.train`."""

    features: NDArray[np.float64] | None
    targets: NDArray[np.float64] | None
    options: SpecOptions


def build_request(
    data: str | None,
    targets: tuple[str, ...],
    features: tuple[str, ...],
    ignored: tuple[str, ...],
    predict: tuple[tuple[float, ...], ...],
    initial: dict[str, Start],
    options: SpecOptions,
) -> Request:
    """What the options ask for. Raises click.UsageError for a table that is no good."""
    if predict:
        options["predict_rows"] = np.array(predict)
    if initial:
        options["initial_parameters"] = initial
    _add_part_options(options)
    if data is None:
        for option, columns in (("--target", targets), ("--feature", features), ("--ignore", ignored)):
            if columns:
                raise click.UsageError(f"{option} names a column of --data, which is missing")
        _check_counts(["x"], ["y"], predict, initial)
        return Request(None, None, options)
    table = read_table(data, targets, features, ignored)
    if table.left_out:
        click.echo(f"left out, for they hold text: {', '.join(table.left_out)}", err=True)
    _check_counts(table.feature_names, table.target_names, predict, initial)
    options["feature_names"], options["target_names"] = table.feature_names, table.target_names
    return Request(table.features, table.targets, options)


def _add_part_options(options: SpecOptions) -> None:
    """Put the options of parts to the names that they belong to."""
    given: dict[str, dict[str, Any]] = cast(dict[str, Any], options).pop("part_options", None) or {}
    for part, values in given.items():
        if part not in PART_OPTIONS:
            raise click.UsageError(f"--set: {part} is not there; there are {', '.join(PART_OPTIONS)}")
        name = cast(dict[str, Any], options).get(part)
        if name is None:
            raise click.UsageError(f"--set {part}.{next(iter(values))}: name the {part} too, with --{part}")
        cast(dict[str, Any], options)[part] = (name, values)


def _check_counts(
    features: list[str], targets: list[str], predict: tuple[tuple[float, ...], ...], initial: dict[str, Start]
) -> None:
    """Values that do not fit the columns are refused by the names of the columns, which people know."""
    for row in predict:
        if len(row) != len(features):
            raise click.UsageError(f"--predict: {_counts(len(row), features)}")
    if len(targets) == 1:
        for name, needed in (("weight", features), ("bias", targets)):
            start = initial.get(name)
            if isinstance(start, tuple) and len(start) != len(needed):
                raise click.UsageError(f"--init {name}: {_counts(len(start), needed)}")


def _counts(given: int, needed: list[str]) -> str:
    names = needed if len(needed) <= _MOST_NAMES else [*needed[:_MOST_NAMES], "..."]
    return f"{counted(given, 'value')} given, {len(needed)} needed: {', '.join(names)}"
