"""From options of the command line to what the client is asked for."""

from dataclasses import dataclass

import click
import numpy as np
from numpy.typing import NDArray

from gradstream.cli.csv_table import read_table
from gradstream.cli.values import Start
from gradstream.spec import SpecOptions


@dataclass(frozen=True, eq=False)
class Request:
    """Arguments of `Client.train`."""

    features: NDArray[np.float64] | None
    targets: NDArray[np.float64] | None
    options: SpecOptions


def build_request(
    data: str | None,
    targets: tuple[str, ...],
    predict: tuple[tuple[float, ...], ...],
    initial: dict[str, Start],
    options: SpecOptions,
) -> Request:
    """What the options ask for. Raises click.UsageError for a table that is no good."""
    if predict:
        options["predict_rows"] = np.array(predict)
    if initial:
        options["initial_parameters"] = initial
    if data is None:
        if targets:
            raise click.UsageError("--target names a column of --data, which is missing")
        return Request(None, None, options)
    table = read_table(data, targets)
    if table.left_out:
        click.echo(f"left out, for they hold text: {', '.join(table.left_out)}", err=True)
    options["feature_names"], options["target_names"] = table.feature_names, table.target_names
    return Request(table.features, table.targets, options)
