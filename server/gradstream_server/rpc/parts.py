"""Parts by name, of the contract and of the domain, one from the other."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import struct_pb2

from gradstream.v1 import spec_pb2, system_service_pb2
from gradstream_server.jobs.errors import InvalidSpec, Violation
from gradstream_server.trainers import catalogue
from gradstream_server.trainers.catalogue import parts
from gradstream_server.trainers.part import Choice, Kind


def to_choices(spec: spec_pb2.Spec) -> dict[Kind, Choice]:
    """What a spec chooses by name.

    Raises:
        InvalidSpec: an option has no value.
    """
    chosen: dict[Kind, Choice] = {}
    for kind in parts():
        if spec.HasField(kind):
            message: spec_pb2.Choice = getattr(spec, kind)
            path = f"spec.{kind}.options"
            options = {
                name: _python(value, f"{path}.{name}") for name, value in message.options.fields.items()
            }
            chosen[kind] = Choice(message.name, options)
    return chosen


def resolved_choices(spec: spec_pb2.Spec) -> dict[Kind, Choice]:
    """Those of a resolved spec; of one that is older than a kind of part, what it was then."""
    chosen = to_choices(spec)
    return {
        kind: catalogue.complete(kind, chosen.get(kind) or catalogue.default(kind), spec.epochs)
        for kind in parts()
    }


def add_choices(spec: spec_pb2.Spec, chosen: Mapping[Kind, Choice]) -> None:
    """Add them to the message of a spec."""
    for kind, choice in chosen.items():
        message: spec_pb2.Choice = getattr(spec, kind)
        message.name = choice.name
        message.options.update(dict(choice.options))


def part_infos() -> list[system_service_pb2.PartInfo]:
    """All parts there are."""
    infos = []
    for kind, there in parts().items():
        for name, part in there.items():
            info = system_service_pb2.PartInfo(
                field=kind,
                name=name,
                description=part.description,
                trainers=part.trainers,
                is_default=name == next(iter(there)),
                losses=part.losses,
                package=part.package,
            )
            info.options_schema.update(_plain(part.schema))
            infos.append(info)
    return infos


def _python(value: struct_pb2.Value, path: str) -> Any:
    match value.WhichOneof("kind"):
        case "null_value":
            return None
        case "number_value":
            return value.number_value
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "list_value":
            values = value.list_value.values
            return [_python(each, f"{path}[{i}]") for i, each in enumerate(values)]
        case "struct_value":
            fields = value.struct_value.fields
            return {name: _python(each, f"{path}.{name}") for name, each in fields.items()}
    raise InvalidSpec([Violation(path, "has no value; give one, or leave it out")])


def _plain(value: Any) -> Any:
    """A schema of mappings and sequences as dicts and lists, which a Struct takes."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
