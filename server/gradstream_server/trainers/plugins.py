"""Models that packages bring along, under the entry point group `gradstream.modules`.

An entry point leads to an object, as a rule a Python module, that declares a model: `description`, `options`,
`losses` and `build`; docs/plugins.md has the whole. The server's main process reads what is declared, and so
that must be possible without torch. Only workers build.
"""

import json
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from itertools import groupby
from operator import attrgetter
from typing import Any, Protocol, runtime_checkable

from gradstream_server.trainers.errors import CannotTrain
from gradstream_server.trainers.options import Schema
from gradstream_server.trainers.part import MODULE, Choice, Part

GROUP = "gradstream.modules"
_TYPES = {"number", "integer", "boolean", "string", "array", "null"}


@runtime_checkable
class Declared(Protocol):
    """What an entry point leads to."""

    description: str
    """One line for people who choose."""
    options: Mapping[str, Schema]
    """A JSON schema for each option, with a type and, unless it has to be given, a default."""
    losses: Collection[str]
    """Names of the losses that the model can have, its default first."""

    def build(self, features: int, outputs: int, **options: Any) -> Any:
        """The `nn.Module`, from (rows, features) to (rows, outputs), drawn from torch's generator."""
        ...


class Unusable(Exception):
    """An installed module that is left out; the message tells why, and what to do."""


@dataclass(frozen=True)
class Plugins:
    """What is installed."""

    models: Mapping[str, Part] = field(default_factory=dict)
    """Those that can be trained, by name."""
    unusable: Mapping[str, Unusable] = field(default_factory=dict)
    """Those that are left out, by name."""


def find(own: Collection[str], losses: Collection[str]) -> Plugins:
    """All that is installed. Imports what the entry points name, and keeps it from importing torch.

    Args:
        own: names of models that nobody else can have.
        losses: names of the losses there are.
    """
    models: dict[str, Part] = {}
    unusable: dict[str, Unusable] = {}
    by_name = attrgetter("name")
    for name, group in groupby(sorted(entry_points(group=GROUP), key=by_name), by_name):
        try:
            models[name] = _part(list(group), own, losses)
        except Unusable as reason:
            unusable[name] = reason
    return Plugins(models, unusable)


def build(model: Choice, features: int, outputs: int) -> Any:
    """The `nn.Module` of a plugin. For workers: imports torch.

    Raises:
        CannotTrain: it is not installed any more.
        Exception: whatever its code raises.
    """
    declared: Declared = _installed(model.name).load()
    return declared.build(features, outputs, **model.options)


@cache
def versions(name: str) -> dict[str, str]:
    """The version of the package that a plugin is of, by the name of the package; as it was at first.

    Raises:
        CannotTrain: it is not installed any more.
    """
    package = _installed(name).dist
    return {package.name: package.version} if package else {}


def _installed(name: str) -> EntryPoint:
    for entry in entry_points(group=GROUP, name=name):
        return entry
    raise CannotTrain(
        f"the model {name!r} is not installed on the server any more; install its package again"
    )


def _part(entries: list[EntryPoint], own: Collection[str], losses: Collection[str]) -> Part:
    entry, name = entries[0], entries[0].name
    if len(entries) > 1:
        packages = " and ".join(_package(each) for each in entries)
        raise Unusable(f"{packages} both bring a model {name!r}; uninstall one of them")
    if name in own:
        raise Unusable(f"{name!r} is the name of a model of gradstream's own; give it another in {GROUP!r}")
    declared = _load(entry)
    wanted = ("description", "options", "losses", "build")
    if missing := [each for each in wanted if not hasattr(declared, each)]:
        raise Unusable(f"{entry.value} does not declare {', '.join(missing)}; it needs {', '.join(wanted)}")
    if not isinstance(declared.description, str) or len(declared.description.strip().splitlines()) != 1:
        raise Unusable(f"{entry.value}: description has to be a line of text")
    if not callable(declared.build):
        raise Unusable(f"{entry.value}: build has to be a function that returns an nn.Module")
    its = declared.losses
    if isinstance(its, str) or not its or not all(each in losses for each in its):
        raise Unusable(f"{entry.value}: losses is {its!r}; it has to name some of {', '.join(losses)}")
    options = _options(entry.value, declared.options)
    return Part(declared.description.strip(), options, MODULE, losses=tuple(its), package=_package(entry))


def _load(entry: EntryPoint) -> Declared:
    try:
        with _without_torch():
            declared: Declared = entry.load()
    except (Exception, SystemExit) as error:
        if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "torch":
            what = "imports torch when it is imported, but the server has to read what it declares without it"
            raise Unusable(f"{entry.value} {what}; import torch where build is called") from error
        raise Unusable(f"{entry.value} cannot be imported: {type(error).__name__}: {error}") from error
    return declared


@contextmanager
def _without_torch() -> Iterator[None]:
    """Let every import of torch fail: it would take seconds, and the memory of this process."""
    there = sys.modules.get("torch")
    sys.modules["torch"] = None  # type: ignore[assignment]  # how Python marks what must not be imported
    try:
        yield
    finally:
        del sys.modules["torch"]
        if there:
            sys.modules["torch"] = there


def _options(where: str, declared: Any) -> dict[str, Schema]:
    """Schemas of options as JSON has them, so that they can travel."""
    from jsonschema import Draft202012Validator, SchemaError, ValidationError

    try:
        options: dict[str, Schema] = json.loads(json.dumps(dict(declared), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise Unusable(f"{where}: options have to be JSON schemas by name: {error}") from error
    for name, schema in options.items():
        what = f"{where}: the schema of the option {name!r}"
        if not name.isidentifier():
            raise Unusable(f"{what} has a name that Python does not take for an argument")
        types = schema.get("type", []) if isinstance(schema, dict) else []
        types = [types] if isinstance(types, str) else types
        if not types or not set(types) <= _TYPES:
            raise Unusable(f"{what} needs a type: one or some of {', '.join(sorted(_TYPES))}")
        try:
            Draft202012Validator.check_schema(schema)
            if "default" in schema:
                Draft202012Validator(schema).validate(schema["default"])
        except (SchemaError, ValidationError) as error:
            raise Unusable(f"{what} is not valid: {error.message}") from error
    return options


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
