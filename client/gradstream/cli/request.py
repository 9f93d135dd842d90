"""From options of the command line to what the client is asked for."""

from typing import Any, cast

import click
from click.core import ParameterSource

from gradstream.cli.data_choice import DataChoice, choose_data, encoded_row
from gradstream.cli.options import SETTINGS
from gradstream.cli.report import counted
from gradstream.cli.spec_file import SET
from gradstream.cli.values import Start, part_options
from gradstream.client import Client
from gradstream.request import PART_OPTIONS
from gradstream.spec import SpecOptions

_MOST_NAMES = 10


def build_request(
    client: Client, choice: DataChoice, initial: dict[str, Start], given: SpecOptions, *, plain: bool = False
) -> SpecOptions:
    """Options of `Client.train`. Raises click.UsageError for values that do not fit the columns."""
    chosen = choose_data(client, choice, plain=plain)
    options = cast(SpecOptions, {**given, **chosen.options})
    names = [column.name for column in chosen.features]
    for text in choice.predict:
        if (count := text.count(",") + 1) != len(names):
            raise click.UsageError(f"--predict: {_counts(count, names)}")
    if choice.predict:
        options["predict_rows"] = [
            encoded_row(text, chosen.features, choice.one_hot) for text in choice.predict
        ]
    if initial:
        targets = list(choice.targets) or ["y"]
        if len(targets) == 1 and not choice.one_hot:
            _check_start(initial, names, targets)
        options["initial_parameters"] = initial
    _add_part_options(options)
    _add_validation(options)
    return options


def _add_validation(options: SpecOptions) -> None:
    """Put the rows to measure on to the one option that they are in Python."""
    given = cast(dict[str, Any], options)
    ways = {
        "--validation-data": given.get("validation"),
        "--validation-fraction": given.pop("validation_fraction", None),
        "--validation-rows": given.pop("validation_rows", None),
    }
    chosen = {option: value for option, value in ways.items() if value is not None}
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} both say what to measure on: give one of them")
    if chosen:
        (given["validation"],) = chosen.values()


def _add_part_options(options: SpecOptions) -> None:
    """Put the options of parts to the names that they belong to."""
    all_options = cast(dict[str, Any], options)
    given = _settings_of_spec_file()
    if hidden := all_options.pop("hidden", None):
        all_options["model"] = all_options.get("model") or "mlp"
        given.setdefault("model", {})["hidden"] = hidden
    for part, values in (all_options.pop("part_options", None) or {}).items():
        given.setdefault(part, {}).update(values)
    for part, values in given.items():
        if part not in PART_OPTIONS:
            raise click.UsageError(f"--set: {part} is not there; there are {', '.join(PART_OPTIONS)}")
        name = all_options.get(part)
        if name is None:
            raise click.UsageError(f"--set {part}.{next(iter(values))}: name the {part} too, with --{part}")
        all_options[part] = (name, values)


def _settings_of_spec_file() -> dict[str, dict[str, Any]]:
    """Options that a spec file gives, of parts that the command line does not name anew."""
    context = click.get_current_context(silent=True)
    if context is None or not (texts := context.meta.get(SETTINGS)):
        return {}
    option = next(each for each in context.command.params if each.name == SET)
    settings = part_options(context, option, tuple(texts))
    source = context.get_parameter_source
    return {part: settings[part] for part in settings if source(part) is not ParameterSource.COMMANDLINE}


def _check_start(initial: dict[str, Start], features: list[str], targets: list[str]) -> None:
    """Values that do not fit the columns are refused by the names of the columns, which people know."""
    for name, needed in (("weight", features), ("bias", targets)):
        start = initial.get(name)
        flat = isinstance(start, tuple) and not isinstance(start[0], tuple)
        if isinstance(start, tuple) and flat and len(start) != len(needed):
            raise click.UsageError(f"--init {name}: {_counts(len(start), needed)}")


def _counts(given: int, needed: list[str]) -> str:
    names = needed if len(needed) <= _MOST_NAMES else [*needed[:_MOST_NAMES], "..."]
    return f"{counted(given, 'value')} given, {len(needed)} needed: {', '.join(names)}"
