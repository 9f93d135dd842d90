"""A person's own table: a CSV file with a header, read with NumPy."""

import csv
import difflib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import click
import numpy as np
from numpy.typing import NDArray

from gradstream.cli.report import counted

_DELIMITERS = ",;\t"
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity|nan)", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_SHOWN = 3

Cells = list[tuple[int, str]]
"""The cells of a column, each with its line."""


@dataclass(frozen=True, eq=False)
class Table:
    """What to learn from, shapes (rows, features) and (rows, targets)."""

    features: NDArray[np.float64]
    targets: NDArray[np.float64]
    feature_names: list[str]
    target_names: list[str]
    left_out: list[str]
    """Columns of text, which are no features."""


def read_table(
    path: str, targets: Sequence[str], features: Sequence[str] = (), ignored: Sequence[str] = ()
) -> Table:
    """Read a table from a file, or stdin for "-". Raises click.UsageError with what is wrong, and where.

    features: the columns to learn from; none for all of numbers but targets and those ignored.
    """
    name = "stdin" if path == "-" else path
    text = _text(path, name)
    first = text.partition("\n")[0]
    if not first.strip():
        raise click.UsageError(f"{name} is empty: the first line has to name the columns")
    delimiter = max(_DELIMITERS, key=first.count)
    # A quoted name may go on over several lines, so the reader says where the header ends.
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter)
    header = [" ".join(cell.split()) for cell in next(reader)]
    header_lines = reader.line_num
    body = lines.read()
    _check_header(name, header, targets, features, ignored)
    if not body.strip():
        raise click.UsageError(f"{name} has a header but no rows")
    wanted = [column for column in header if not features or column in features or column in targets]
    wanted = [column for column in wanted if column not in ignored]
    columns = _columns(name, header, header_lines, body, delimiter, wanted)
    for column in [*targets, *features]:
        if columns[column] is None:
            use = "predicted" if column in targets else "learned from"
            raise click.UsageError(f"column {column!r} of {name} holds text, and only numbers can be {use}")
    feature_names = list(features) or [c for c in wanted if columns[c] is not None and c not in targets]
    if not feature_names:
        raise click.UsageError(f"{name} has no column of numbers beside --target {', '.join(targets)}")

    def pick(names: Sequence[str]) -> NDArray[np.float64]:
        return np.column_stack([column for each in names if (column := columns[each]) is not None])

    left_out = [column for column in wanted if columns[column] is None]
    return Table(pick(feature_names), pick(targets), feature_names, list(targets), left_out)


def _text(path: str, name: str) -> str:
    try:
        with click.open_file(path, encoding="utf-8-sig") as file:
            text: str = file.read()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{name} is not text in UTF-8") from error
    except OSError as error:
        raise click.UsageError(f"cannot read {name}: {error.strerror}") from error
    return text


def _check_header(
    name: str, header: list[str], targets: Sequence[str], features: Sequence[str], ignored: Sequence[str]
) -> None:
    if all(is_number(cell) for cell in header):
        raise click.UsageError(f"the first line of {name} has to name the columns, but it holds numbers")
    for number, column in enumerate(header, 1):
        if not column:
            hint = "; the index of a pandas table? Save it with index=False" if number == 1 else ""
            raise click.UsageError(f"the header of {name} has no name for column {number}{hint}")
        if header.count(column) > 1:
            raise click.UsageError(f"the header of {name} has column name {column!r} twice")
    if not targets:
        raise click.UsageError(f"which column to predict? Give --target; {name} has {', '.join(header)}")
    for option, columns in (("--target", targets), ("--feature", features), ("--ignore", ignored)):
        for column in columns:
            if list(columns).count(column) > 1:
                raise click.UsageError(f"{option} {column} is given twice")
            if column not in header:
                near = difflib.get_close_matches(column, header, 1, cutoff=0.5)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                has = ", ".join(header)
                raise click.UsageError(f"{name} has no column {column!r}{hint or '.'} It has {has}")
    for column in [*features, *ignored]:
        if column in targets:
            option = "--feature" if column in features else "--ignore"
            raise click.UsageError(f"column {column!r} is given as --target and as {option}")
        if column in features and column in ignored:
            raise click.UsageError(f"column {column!r} is given as --feature and as --ignore")


def _columns(
    name: str, header: list[str], header_lines: int, body: str, delimiter: str, wanted: list[str]
) -> dict[str, NDArray[np.float64] | None]:
    """The columns wanted as numbers; None for one of text."""
    try:
        values = np.loadtxt(io.StringIO(body), delimiter=delimiter, quotechar='"', comments=None, ndmin=2)
    except ValueError:
        values = np.empty((0, 0))
    if values.shape[1] == len(header) and np.isfinite(values).all() and "_" not in body:
        return {column: values[:, header.index(column)] for column in wanted}
    # Something is not a number: go through cell by cell, to leave out text and say where the fault is.
    rows = []
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=delimiter)
    before = 0
    for row in reader:
        if row:
            rows.append((header_lines + before + 1, row))
        before = reader.line_num
    for line, row in rows:
        if len(row) != len(header):
            cells = counted(len(row), "cell")
            raise click.UsageError(f"line {line} of {name} has {cells}, but the header names {len(header)}")
    columns: dict[str, Cells] = {
        column: [(line, row[header.index(column)].strip()) for line, row in rows] for column in wanted
    }
    numeric = {column: cells for column, cells in columns.items() if _holds_numbers(name, column, cells)}
    _check_missing(name, numeric)
    values_of = {column: _numbers(name, column, cells) for column, cells in numeric.items()}
    return {column: values_of.get(column) for column in wanted}


def _holds_numbers(name: str, column: str, cells: Cells) -> bool:
    """Whether it is a column of numbers, perhaps with some missing; False for one of text."""
    texts = [(line, cell) for line, cell in cells if cell.lower() not in _MISSING and not is_number(cell)]
    numbers = sum(is_number(cell) and cell.lower() not in _MISSING for _, cell in cells)
    commas = [(line, cell) for line, cell in texts if _DECIMAL_COMMA.fullmatch(cell)]
    if commas and len(commas) == len(texts):
        line, cell = commas[0]
        raise click.UsageError(
            f"line {line}, column {column!r} of {name}: {cell!r} has a decimal comma; "
            f"write numbers with a point, such as {cell.replace(',', '.')}, or leave the column out "
            f"with --ignore {column}"
        )
    if not texts or not numbers:
        return bool(numbers)
    # Some of each: a slip, rather than a column to be left out in silence.
    odd, rest = (texts, "numbers") if len(texts) <= numbers else ([], "text")
    if not odd:
        odd = [(line, cell) for line, cell in cells if is_number(cell) and cell.lower() not in _MISSING]
    line, cell = odd[0]
    what = f"{cell!r} is {'not a finite number' if rest == 'numbers' else 'a number'}"
    raise click.UsageError(
        f"line {line}, column {column!r} of {name}: {what}, but {len(cells) - len(odd)} of {len(cells)} "
        f"cells hold {rest}; mend it, or leave the column out with --ignore {column}"
    )


def _check_missing(name: str, columns: dict[str, Cells]) -> None:
    missing: dict[str, list[int]] = {}
    for column, cells in columns.items():
        if lines := [line for line, cell in cells if cell.lower() in _MISSING]:
            missing[column] = lines
    if not missing:
        return
    where = [f"{column!r} ({len(lines):,})" for column, lines in missing.items()]
    more = f" and {len(where) - _SHOWN} more columns" if len(where) > _SHOWN else ""
    total = sum(map(len, missing.values()))
    first = min(min(lines) for lines in missing.values())
    are = "is" if total == 1 else "are"
    raise click.UsageError(
        f"{counted(total, 'cell')} of {name} {are} empty or not a finite number, in column "
        f"{', '.join(where[:_SHOWN])}{more}; the first is in line {first}. "
        "Fill or drop these rows, or leave a column out with --ignore COLUMN"
    )


def _numbers(name: str, column: str, cells: Cells) -> NDArray[np.float64]:
    values = np.array([float(cell) for _, cell in cells])
    if not np.isfinite(values).all():
        line, cell = cells[int(np.flatnonzero(~np.isfinite(values))[0])]
        raise click.UsageError(f"line {line}, column {column!r} of {name}: {cell!r} is not a finite number")
    return values


def is_number(cell: str) -> bool:
    """Whether a cell is a number as others write it too: Python alone takes 1_000 for one."""
    return _NUMBER.fullmatch(cell) is not None
