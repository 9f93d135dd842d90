"""Rows to predict as the command line has them, typed or in a file: the model says what a value is."""

import csv
import gzip
import io
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import click

from gradstream.bundle import InputColumn
from gradstream.bundle.faults import SHOWN, listed

Value: TypeAlias = float | str
"""NaN, or of text the empty one, where there is none."""

MISSING = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "N/A", "NA"}
    | {"NULL", "NaN", "n/a", "nan", "null", "None", "none", "?"}
)
"""What stands for no value, as in a file to train on."""
_FLAGS = {"true": 1.0, "false": 0.0}
_DELIMITERS = ",;\t|"
_KINDS = (".csv", ".tsv", ".txt")


def typed(text: str, columns: Sequence[InputColumn]) -> list[Value] | dict[str, Value]:
    """The values of a row that was typed: in order, or by name.

    Raises click.UsageError for a value that is no number where the model has numbers, and for too few values:
    what is meant for one row has often been typed as several.
    """
    parts = [part.strip() for part in text.split(",")]
    if all("=" in part for part in parts):
        known = {column.name: column for column in columns}
        named: dict[str, Value] = {}
        for name, _, value in (part.partition("=") for part in parts):
            if (name := name.strip()) in named:
                raise click.UsageError(f"ROW has {name!r} twice")
            named[name] = _typed(value.strip(), known.get(name))
        if missing := [column.name for column in columns if column.name not in named]:
            raise _too_little(f"ROW {text!r} lacks {listed(missing)}", [f"{name}=..." for name in known])
        return named
    if len(parts) < len(columns):
        has = f"has {len(parts)} value{'' if len(parts) == 1 else 's'}"
        raise _too_little(f"ROW {text!r} {has}", [column.name for column in columns])
    # As many as there are features are encoded already; of how many there have to be the server speaks.
    kinds: Sequence[InputColumn | None] = columns if len(columns) == len(parts) else [None] * len(parts)
    return [_typed(part, column) for part, column in zip(parts, kinds, strict=True)]


def _too_little(what: str, parts: Sequence[str]) -> click.UsageError:
    shown = ",".join([*parts[:SHOWN], *(["..."] if len(parts) > SHOWN else [])])
    return click.UsageError(f"{what}; a row of this model is one word: {shown}")


def of_file(path: str, columns: Sequence[InputColumn]) -> dict[str, list[Value]]:
    """The columns of a model in a file of text, "-" for stdin, as far as it has them; others are left out.

    Raises click.UsageError for a file that cannot be read, and for a value that is no number where the model
    has numbers.
    """
    names, rows = _table(path)
    found: dict[str, list[Value]] = {}
    for column in columns:
        if column.name in names:
            place = names.index(column.name)
            try:
                found[column.name] = [_value(row[place], column) for row in rows]
            except ValueError:
                row = next(i for i, row in enumerate(rows, 1) if not _fits(row[place], column))
                what = f"row {row} holds {rows[row - 1][place]!r} in {column.name!r}, which is no number"
                raise click.UsageError(f"{path}: {what}") from None
    if not found:
        has = ", ".join(repr(column.name) for column in columns[:10])
        raise click.UsageError(f"{path} has none of the columns of the model: {has}")
    return found


def _table(path: str) -> tuple[list[str], list[list[str]]]:
    """Names and rows."""
    text = _text(path)
    header = text.partition("\n")[0]
    is_tsv = path.lower().removesuffix(".gz").endswith(".tsv")
    delimiter = "\t" if is_tsv else max(_DELIMITERS, key=header.count)
    try:
        names, *rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter, strict=True) if row]
    except (csv.Error, ValueError) as error:
        raise click.UsageError(f"cannot read {path}: {error if text.strip() else 'it is empty'}") from error
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise click.UsageError(f"{path}: column {twice[0]!r} is there twice")
    for i, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise click.UsageError(f"{path}: row {i} has {len(row)} values, and the header {len(names)}")
    return names, rows


def _text(path: str) -> str:
    """What is in a file."""
    if path != "-" and not path.lower().removesuffix(".gz").endswith(_KINDS):
        what = (
            f"{', '.join(_KINDS)} are read, also with .gz behind; in Python models take tables of all kinds"
        )
        raise click.UsageError(f"cannot read {path}: {what}")
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return (gzip.decompress(content) if path.lower().endswith(".gz") else content).decode("utf-8-sig")
    except (OSError, EOFError) as error:
        raise click.UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    except UnicodeDecodeError as error:
        raise click.UsageError(f"cannot read {path}: it is not UTF-8; save it as UTF-8") from error


def _typed(text: str, column: InputColumn | None) -> Value:
    if column:
        try:
            return _value(text, column)
        except ValueError:
            what = f"ROW holds {text!r} in {column.name!r}, which is no number"
            raise click.UsageError(what) from None
    try:
        return float(text)
    except ValueError:
        return text


def _value(text: str, column: InputColumn) -> Value:
    """Text where the column holds text, else a number; ValueError where it is none."""
    if column.categories and isinstance(column.categories[0], str):
        return "" if text in MISSING and text not in column.categories else text
    if text.strip() in MISSING:
        return math.nan
    flag = _FLAGS.get(text.lower())
    if "_" in text:  # which Python takes in numbers, and tables do not
        raise ValueError
    return float(text) if flag is None else flag


def _fits(text: str, column: InputColumn) -> bool:
    try:
        _value(text, column)
    except ValueError:
        return False
    return True
