"""A spec file: what to train, in TOML, with keys that are named as the options."""

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import click

from gradstream.cli.data_choice import DataChoice
from gradstream.spec import SpecOptions

DATA, INIT, DIGEST = "data", "init", "digest"
_KEYS = {"data": "file"}
"""Keys that are not named as the option."""
_SIZE = "max_memory_bytes"
SET = "part_options"
"""The parameter of --set, which is a table in a file."""
_OTHERS = {"predict", "start", "initial", "validation_fraction", "validation_rows", SET}
"""Options that are named otherwise in Python."""


@dataclass(frozen=True)
class SpecFile:
    """What a spec file says."""

    options: dict[str, object]
    """Values of the command's options, by the names of its parameters."""
    digest: str | None
    """What the content of the table has to have."""


def key_of(option: click.Option) -> str:
    """The key of an option: `learning_rate` for --learning-rate."""
    longest = max(option.opts, key=len)
    return _KEYS.get(option.name or "", longest.removeprefix("--").replace("-", "_"))


def training_options(command: click.Command) -> Iterator[tuple[str, click.Option]]:
    """The options that a spec file has keys for, and the table each is in; "" for the top.

    Those are the ones that say what is trained, and not how the command goes about it.
    """
    of_data = {field.name for field in fields(DataChoice)} - {"predict"}
    for option in command.params:
        if not isinstance(option, click.Option):
            continue
        if option.name in of_data:
            yield DATA, option
        elif option.name in {*SpecOptions.__annotations__, *_OTHERS}:
            yield "", option


def read_spec_file(path: Path, command: click.Command) -> SpecFile:
    """Raises click.UsageError for what cannot be read, is no TOML, or has unknown keys or wrong types."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path} is no spec file: it is not text in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise click.UsageError(f"{path} is no TOML: {error}") from error
    known: dict[str, dict[str, click.Option]] = {"": {}, DATA: {}}
    for table, option in training_options(command):
        known[table][key_of(option)] = option
    try:
        return _understood(found, known, path.parent)
    except ValueError as error:
        raise click.UsageError(f"{path}: {error}") from error


def _understood(
    found: Mapping[str, object], known: Mapping[str, Mapping[str, click.Option]], folder: Path
) -> SpecFile:
    data = found.get(DATA, {})
    if not isinstance(data, dict):
        raise ValueError(f"{DATA} must be a table: write [{DATA}] on a line, and below it file = ...")
    top = {key: value for key, value in found.items() if key != DATA}
    options: dict[str, object] = {}
    for table, values in (("", top), (DATA, data)):
        for given, value in values.items():
            key = given.replace("-", "_")
            if table == DATA and key == DIGEST:
                continue
            if key not in known[table]:
                raise ValueError(_unknown(given, table, known))
            option = known[table][key]
            if option.name in options:
                raise ValueError(f"{key} is given twice")
            assert option.name is not None
            options[option.name] = _converted(f"{table}.{key}" if table else key, option, value)
    digest = data.get(DIGEST)
    if digest is not None and not isinstance(digest, str):
        raise ValueError(f"{DATA}.{DIGEST} must be a text, not {digest!r}")
    file = options.get("data")
    if isinstance(file, str) and file != "-":
        options["data"] = str(folder / file)
    elif digest is not None:
        options["data"] = digest
    measured = options.get("validation_data")
    if isinstance(measured, str) and (folder / measured).is_file():
        options["validation_data"] = str(folder / measured)
    return SpecFile(options, digest)


def _unknown(given: str, table: str, known: Mapping[str, Mapping[str, click.Option]]) -> str:
    """What is said of a key that there is none of."""
    names = {key: (key, "") for key in [*known[""], DATA]}
    names |= {key: (key, DATA) for key in [*known[DATA], DIGEST] if table == DATA or key not in names}
    near = difflib.get_close_matches(given.replace("-", "_"), names, 1)
    if not near:
        there = [key for key, (_, where) in names.items() if where == table]
        return f"{given!r} is no key{f' of [{table}]' if table else ''}; there are {', '.join(there)}"
    key, where = names[near[0]]
    place = "" if where == table else f" in [{where}]" if where else " at the top of the file"
    return f"{given!r} is no key{f' of [{table}]' if table else ''}; did you mean {key!r}{place}?"


def _converted(key: str, option: click.Option, value: object) -> object:
    """A value as click takes it for the option. Raises ValueError for one of another type."""
    if option.name == "initial":
        return list(_starts(key, value))
    if option.name == SET:
        return list(_settings(key, value))
    if not option.multiple:
        return _single(key, option, value)
    values = value if isinstance(value, list) else [value]
    if option.name == "predict":
        return [_row(key, each) for each in values]
    return [_single(key, option, each) for each in values]


def _single(key: str, option: click.Option, value: object) -> object:
    kind = option.type
    if isinstance(kind, click.Choice):
        if not isinstance(value, str) or value.lower() not in kind.choices:
            raise ValueError(f"{key} must be {' or '.join(kind.choices)}, not {value!r}")
        return value
    if option.name == _SIZE and _is_number(value):
        return str(value)
    for wanted, types, what in (
        (click.BOOL, bool, "true or false"),
        (click.INT, int, "a whole number"),
        (click.FLOAT, int | float, "a number"),
    ):
        if isinstance(kind, type(wanted)):
            if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
                raise ValueError(f"{key} must be {what}, not {value!r}")
            return value
    if not isinstance(value, str):
        raise ValueError(f"{key} must be a text, not {value!r}")
    return value


def _row(key: str, value: object) -> str:
    """A row to predict: a text with commas, a number, or a list of numbers and texts."""
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str) or _is_number(each) for each in values):
        raise ValueError(f"{key} must be a list of rows, each a text such as '5,2' or a list, not {value!r}")
    return ",".join(map(str, values))


def _starts(key: str, value: object) -> Iterator[str]:
    """Initial parameters, each as --init takes it."""
    if not isinstance(value, dict):
        raise ValueError(f"{key} must be a table: write [{key}] on a line, and below it weight = ...")
    for name, given in value.items():
        rows = given if isinstance(given, list) else [given]
        is_matrix = bool(rows) and all(isinstance(row, list) for row in rows)
        numbers = [each for row in rows for each in row] if is_matrix else rows
        if not numbers or not all(map(_is_number, numbers)):
            raise ValueError(f"{key}.{name} must be a number or a list of numbers, not {given!r}")
        if is_matrix:
            yield f"{name}={';'.join(','.join(map(repr, row)) for row in rows)};"
        else:
            yield f"{name}={','.join(map(repr, rows))}"


def _settings(key: str, value: object) -> Iterator[str]:
    """Options of parts, each as --set takes it."""
    parts = value if isinstance(value, dict) else {"": value}
    for part, options in parts.items():
        if not isinstance(options, dict):
            raise ValueError(
                f"{key} must be a table: write [{key}] on a line, below it optimizer.momentum = ..."
            )
        for name, given in options.items():
            try:
                yield f"{part}.{name}={json.dumps(given)}"
            except TypeError as error:
                raise ValueError(
                    f"{key}.{part}.{name} must be a number, a text or a list, not {given}"
                ) from error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
