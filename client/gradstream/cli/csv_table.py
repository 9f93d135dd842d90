"""A person's own table: a CSV file with a header, read with NumPy."""

import csv
import difflib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import click
import numpy as np
from numpy.typing import NDArray

from gradstream.cli.report import counted

_DELIMITERS = ",;\t"


@dataclass(frozen=True, eq=False)
class Table:
    """What to learn from, shapes (rows, features) and (rows, targets)."""

    features: NDArray[np.float64]
    targets: NDArray[np.float64]
    feature_names: list[str]
    target_names: list[str]
    left_out: list[str]
    """Columns of text, which are no features."""


def read_table(path: str, targets: Sequence[str]) -> Table:
    """Read a table from a file, or stdin for "-". Raises click.UsageError with what is wrong, and where."""
    name = "stdin" if path == "-" else path
    try:
        with click.open_file(path, encoding="utf-8-sig") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{name} is not text in UTF-8") from error
    except OSError as error:
        raise click.UsageError(f"cannot read {name}: {error.strerror}") from error
    header_line, _, body = text.partition("\n")
    if not header_line.strip():
        raise click.UsageError(f"{name} is empty: the first line has to name the columns")
    delimiter = max(_DELIMITERS, key=header_line.count)
    header = [cell.strip() for cell in next(csv.reader([header_line], delimiter=delimiter))]
    _check_header(name, header, targets)
    if not body.strip():
        raise click.UsageError(f"{name} has a header but no rows")
    columns = _columns(name, header, body, delimiter)
    for target in targets:
        if columns[header.index(target)] is None:
            raise click.UsageError(
                f"column {target!r} of {name} holds text, and only numbers can be predicted"
            )
    feature_names = [c for c, v in zip(header, columns, strict=True) if v is not None and c not in targets]
    if not feature_names:
        raise click.UsageError(f"{name} has no column of numbers beside --target {', '.join(targets)}")

    def pick(names: Sequence[str]) -> NDArray[np.float64]:
        chosen = [columns[header.index(each)] for each in names]
        return np.column_stack([column for column in chosen if column is not None])

    left_out = [c for c, v in zip(header, columns, strict=True) if v is None]
    return Table(pick(feature_names), pick(targets), feature_names, list(targets), left_out)


def _check_header(name: str, header: list[str], targets: Sequence[str]) -> None:
    if all(_is_number(cell) for cell in header):
        raise click.UsageError(f"the first line of {name} has to name the columns, but it holds numbers")
    for column in header:
        if not column or header.count(column) > 1:
            fault = f"column name {column!r} twice" if column else "a column without a name"
            raise click.UsageError(f"the header of {name} has {fault}")
    if not targets:
        raise click.UsageError(f"which column to predict? Give --target; {name} has {', '.join(header)}")
    for target in targets:
        if target not in header:
            near = difflib.get_close_matches(target, header, 1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"{name} has no column {target!r}{hint or '.'} It has {', '.join(header)}")


def _columns(name: str, header: list[str], body: str, delimiter: str) -> list[NDArray[np.float64] | None]:
    """The columns as numbers; None for one of text."""
    try:
        values = np.loadtxt(io.StringIO(body), delimiter=delimiter, quotechar='"', comments=None, ndmin=2)
    except ValueError:
        values = np.empty((0, 0))
    if values.shape[1] == len(header) and np.isfinite(values).all():
        return list(values.T)
    # Something is not a number: go through cell by cell, to leave out text and say where the fault is.
    rows = [
        (line, row) for line, row in enumerate(csv.reader(io.StringIO(body), delimiter=delimiter), 2) if row
    ]
    for line, row in rows:
        if len(row) != len(header):
            cells = counted(len(row), "cell")
            raise click.UsageError(f"line {line} of {name} has {cells}, but the header names {len(header)}")
    return [
        _column(name, column, [(n, row[i].strip()) for n, row in rows]) for i, column in enumerate(header)
    ]


def _column(name: str, column: str, cells: list[tuple[int, str]]) -> NDArray[np.float64] | None:
    if not any(_is_number(cell) for _, cell in cells):
        return None
    for line, cell in cells:
        if not _is_number(cell) or not np.isfinite(float(cell)):
            what = f"{cell!r} is not a finite number" if cell else "is empty"
            raise click.UsageError(f"line {line}, column {column!r} of {name}: {what}")
    return np.array([float(cell) for _, cell in cells])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
