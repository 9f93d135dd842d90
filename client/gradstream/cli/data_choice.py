"""What the options say to train on: a file or a data set, columns of it, and rows to predict."""

import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from gradstream.cli.data_report import SHORT, printable
from gradstream.cli.transfer import transfer
from gradstream.client import Client
from gradstream.dataset import Column, ColumnType, Dataset
from gradstream.errors import InvalidArgumentError, NotFoundError
from gradstream.spec import SpecOptions

_DIGEST = re.compile("[0-9a-f]{6,64}")
_MOST_NAMES = 10
_TOLD_AFTER_S = 1.0
"""An upload that is over by then is not worth a line."""
_X = Column("x", ColumnType.NUMBER, "float", 0, None, 1.0, 4.0, 2.5, None, (), None, "")
"""The feature of the reference experiment."""


@dataclass(frozen=True)
class DataChoice:
    """The options, as they were given."""

    data: str | None
    targets: tuple[str, ...]
    features: tuple[str, ...]
    ignored: tuple[str, ...]
    one_hot: tuple[str, ...]
    max_categories: int | None
    nulls: str | None
    predict: tuple[str, ...]
    validation_data: str | None = None
    digest: str | None = None
    """What the table has to be, where a spec file says so."""


@dataclass(frozen=True)
class ChosenData:
    """Options of `Client.train`, and the columns to learn from; for the reference experiment its only one."""

    options: SpecOptions
    features: tuple[Column, ...]


def choose_data(client: Client, choice: DataChoice, *, plain: bool) -> ChosenData:
    """The data set that the options mean, uploaded if it is not there, and the columns of it.

    Raises click.UsageError for what is no such file, data set or column.
    """
    if choice.data is None:
        for option, given in (
            ("--target", choice.targets),
            ("--feature", choice.features),
            ("--ignore", choice.ignored),
            ("--one-hot", choice.one_hot),
            ("--max-categories", choice.max_categories),
            ("--nulls", choice.nulls),
            ("--validation-data", choice.validation_data),
        ):
            if given:
                raise click.UsageError(f"{option} is about the table of --data, which is missing")
        return ChosenData({}, (_X,))
    dataset = _dataset(client, choice, plain)
    if choice.digest and not dataset.digest.startswith(choice.digest):
        raise click.UsageError(
            f"{choice.data} is not the table of the spec file: its digest is {dataset.digest[:SHORT]}, "
            f"not {choice.digest[:SHORT]}; delete `digest` there, or give --data, to train on what it is now"
        )
    features = _features(dataset, choice)
    options: SpecOptions = {"dataset": dataset, "target_columns": choice.targets}
    if choice.targets:
        options["feature_columns"] = [column.name for column in features]
    if choice.one_hot:
        options["one_hot"] = choice.one_hot
    if choice.max_categories is not None:
        options["max_categories"] = choice.max_categories
    if choice.validation_data is not None:
        options["validation"] = _find(client, choice.validation_data, plain)
    if choice.nulls is not None:
        options["nulls"] = choice.nulls  # type: ignore[typeddict-item]  # one of the choices of the option
    return ChosenData(options, tuple(features))


def _dataset(client: Client, choice: DataChoice, plain: bool) -> Dataset:
    """The data set that is meant. Of a file of a spec file that is gone, the server may have the content."""
    assert choice.data is not None
    if not choice.digest or choice.data in ("-", choice.digest) or Path(choice.data).exists():
        return _find(client, choice.data, plain)
    try:
        return client.dataset(choice.digest)
    except (NotFoundError, InvalidArgumentError) as error:
        raise click.UsageError(
            f"cannot read {choice.data}: there is no such file, and the server has no data set "
            f"{choice.digest[:SHORT]}, which it held"
        ) from error


def _find(client: Client, data: str, plain: bool) -> Dataset:
    if data != "-" and not Path(data).is_file():
        if _DIGEST.fullmatch(data):
            return client.dataset(data)
        what = "it is a folder" if Path(data).is_dir() else "no file and no data set is named so"
        raise click.UsageError(f"cannot read {data}: {what}")
    name = "stdin.csv" if data == "-" else Path(data).name
    try:
        with transfer(name, plain=plain, after_s=_TOLD_AFTER_S) as progress:
            source = sys.stdin.buffer if data == "-" else data
            return client.upload(source, name=name, on_progress=progress.show)
    except InvalidArgumentError as error:
        if error.reason != "UNREADABLE_DATA":
            raise
        raise click.UsageError(f"{data}: {error.message}") from error


def _features(dataset: Dataset, choice: DataChoice) -> list[Column]:
    """The columns to learn from."""
    columns = {column.name: column for column in dataset.columns}
    ignored = [_named(columns, "--ignore", name) for name in choice.ignored]
    one_hot = [_named(columns, "--one-hot", name) for name in choice.one_hot]
    if choice.features:
        features = [_named(columns, "--feature", name) for name in choice.features]
        names = {column.name for column in ignored}
        if both := [column.name for column in features if column.name in names]:
            raise click.UsageError(f"column {both[0]!r} is both --feature and --ignore")
        names = {column.name for column in features}
        return features + [column for column in one_hot if column.name not in names]
    taken = {*choice.targets, *choice.ignored, *choice.one_hot}
    left = [column for column in dataset.columns if column.name not in taken]
    features = [column for column in left if column.type is ColumnType.NUMBER]
    if left_out := [printable(column.name) for column in left if column.type is not ColumnType.NUMBER]:
        click.echo(f"left out, for they hold no numbers: {', '.join(left_out)}", err=True)
    return features + one_hot


def _named(columns: Mapping[str, Column], option: str, name: str) -> Column:
    """The column of a name."""
    if name in columns:
        return columns[name]
    near = difflib.get_close_matches(name, columns, 1)
    there = ", ".join(list(columns)[:_MOST_NAMES])
    hint = f"did you mean {near[0]!r}?" if near else f"there are {there}"
    raise click.UsageError(f"{option} is {name!r}, which is no column; {hint}")


def encoded_row(text: str, features: Sequence[Column], one_hot: Sequence[str]) -> list[float]:
    """A row to predict as the model has it: the values of its features, separated by commas."""
    values = [value.strip() for value in text.split(",")]
    numbers: list[float] = []
    for value, column in zip(values, features, strict=True):
        if column.name not in one_hot:
            numbers.append(_number(value, text))
        elif value in column.categories:
            numbers += [float(value == category) for category in column.categories]
        else:
            near = difflib.get_close_matches(value, column.categories, 1)
            there = ", ".join(near or column.categories[:_MOST_NAMES])
            raise click.UsageError(
                f"--predict {text}: {value!r} is no value of column {column.name!r}; there is {there}"
            )
    return numbers


def _number(value: str, text: str) -> float:
    try:
        return float(value)
    except ValueError:
        message = f"--predict: {text!r} is no row: give a number for each feature, such as 5 or 1.5,2"
        raise click.UsageError(message) from None
