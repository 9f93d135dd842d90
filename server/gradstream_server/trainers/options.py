"""JSON schemas of options, in few words."""

from collections.abc import Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]
"""A JSON schema (draft 2020-12)."""

LARGEST_WHOLE = 2**53
"""The contract carries numbers as doubles, which hold whole numbers up to here."""
_MOST_ITEMS = 1000


def number(
    description: str,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    default: float | None = None,
) -> Schema:
    """A number in a range."""
    bounds = {
        "exclusiveMinimum": above,
        "minimum": at_least,
        "exclusiveMaximum": below,
        "maximum": at_most,
        "default": default,
    }
    return {"type": "number"} | _described(description) | {k: v for k, v in bounds.items() if v is not None}


def whole(description: str, least: int, most: int = LARGEST_WHOLE, default: int | None = None) -> Schema:
    """A whole number in a range."""
    schema = {"type": "integer"} | _described(description) | {"minimum": least, "maximum": most}
    return schema if default is None else schema | {"default": default}


def flag(description: str, default: bool) -> Schema:
    """True or false."""
    return {"type": "boolean", "description": description, "default": default}


def choice(description: str, *names: str) -> Schema:
    """One of some texts; the first is the default."""
    return {"type": "string", "description": description, "enum": list(names), "default": names[0]}


def list_of(
    items: Schema, description: str, default: Sequence[Any] | None = None, length: int | None = None
) -> Schema:
    """A list, not empty, or of a certain length."""
    size = {"minItems": length or 1, "maxItems": length or _MOST_ITEMS}
    schema = {"type": "array", "description": description, "items": items} | size
    return schema if default is None else schema | {"default": list(default)}


def or_nothing(schema: Schema, default: Any) -> Schema:
    """The same, or null."""
    wider = dict(schema) | {"type": [schema["type"], "null"], "default": default}
    return wider | ({"enum": [*schema["enum"], None]} if "enum" in schema else {})


def _described(description: str) -> dict[str, Any]:
    return {"description": description} if description else {}
