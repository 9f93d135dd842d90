"""Writing a spec file that trains again what a job has trained."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import click
import numpy as np
from click.core import ParameterSource

from gradstream.cli.data_choice import DataChoice
from gradstream.cli.spec_file import DATA, DIGEST, INIT, SET, key_of, training_options
from gradstream.job import Job

_GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP, ParameterSource.ENVIRONMENT)
_ONLY_IF_GIVEN = {"batch_size", "max_memory_bytes", "max_seconds"}
"""What the server makes of these depends on the table or on its limits, and decides nothing."""
_SEPARATE = {SET, "initial", "start", "predict"}
_BARE_KEY = re.compile("[A-Za-z0-9_-]+")
_DELETE = "\x7f"
"""JSON takes it as it is, and TOML does not."""

Value = bool | int | float | str | list["Value"]


def require_writable(path: Path) -> None:
    """Raises click.UsageError for what could not be written once the job has begun."""
    if path.is_dir():
        raise click.UsageError(f"cannot write {path}: it is a folder")
    if not path.parent.is_dir():
        raise click.UsageError(f"cannot write {path}: there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise click.UsageError(f"cannot write {path}: it is not allowed")


def write_spec(path: Path, job: Job, choice: DataChoice, start: Mapping[str, object]) -> None:
    """Write what the command that runs was given, and what the server has made of it, as a spec file.

    start: where training starts, of --init and --from. Where the file cannot be written after all, stderr is
    told: the job has begun.
    """
    try:
        path.write_bytes("\n".join(_lines(path, job, choice, start)).encode())
    except (OSError, UnicodeEncodeError) as error:
        click.echo(f"cannot write {path}: {error}", err=True)


def _lines(path: Path, job: Job, choice: DataChoice, start: Mapping[str, object]) -> Iterator[str]:
    context = click.get_current_context()
    parts = {kind: part.name for kind, part in job.spec.parts.items()}
    given: list[str] = []
    chosen: list[str] = []
    data: list[str] = []
    for table, option in training_options(context.command):
        name = option.name or ""
        is_given = context.get_parameter_source(name) in _GIVEN
        if table == DATA:
            values = getattr(choice, name)
            if name == "validation_data" and values and Path(values).is_file():
                values = _place(values, path.parent)
            if name != "data" and values not in (None, ()):
                data.append(_line(key_of(option), list(values) if option.multiple else values))
        elif name in _SEPARATE or (name in _ONLY_IF_GIVEN and not is_given):
            continue
        else:
            resolved = parts.get(name) or getattr(job.spec, name, context.params.get(name))
            if isinstance(resolved, tuple) and resolved:
                resolved = list(resolved)
            if isinstance(resolved, bool | int | float | str | list):
                (given if is_given else chosen).append(_line(key_of(option), resolved))
    yield f"# What job {job.id} has trained. Again: gradstream train --spec {path.name}"
    yield from given
    if choice.predict:
        yield _line("predict", list(choice.predict))
    yield "\n# What the server has chosen. Without these lines it chooses anew."
    yield from chosen
    if settings := list(_settings(job)):
        yield "\n# All options of what is named above, those that the server has chosen too.\n[set]"
        yield from settings
    if job.spec.dataset:
        yield f"\n[{DATA}]"
        if choice.data is not None and Path(choice.data).is_file():
            yield _line("file", _place(choice.data, path.parent))
        yield "# The SHA-256 of the table. Without this line, whatever is in the file is trained on."
        yield _line(DIGEST, job.spec.dataset)
        yield from data
    if start:
        yield f"\n[{INIT}]"
        for name, value in start.items():
            yield _line(name, np.asarray(value).tolist())
    yield ""


def _settings(job: Job) -> Iterator[str]:
    """The options of parts, but for those that are null: TOML has nothing for it, and the default is null."""
    for kind, part in job.spec.parts.items():
        for name, value in part.options.items():
            if value is not None:
                yield f"{kind}.{_key(name)} = {toml(cast(Value, value))}"


def _place(file: str, folder: Path) -> str:
    """The table as seen from the folder of the spec file; an absolute path stays one."""
    return file if Path(file).is_absolute() else os.path.relpath(file, folder)


def _line(key: str, value: Value) -> str:
    return f"{_key(key)} = {toml(value)}"


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else toml(name)


def toml(value: Value) -> str:
    """A value in TOML. Its numbers read as they were; JSON's strings are TOML's, but for one character."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace(_DELETE, "\\u007f")
    return f"[{', '.join(map(toml, value))}]"
