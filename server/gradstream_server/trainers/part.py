"""Parts that a training is put together from: a part, and the choice of one.

It imports neither torch nor any trainer, as the catalogue.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gradstream_server.trainers.options import Schema

Kind = Literal["model", "loss", "initialization", "optimizer", "schedule", "clipping", "mixed_precision"]
"""What a part is for; the name of its field in a spec."""

ALL = ("manual", "autograd", "module")
MODULE = ("module",)


@dataclass(frozen=True)
class Choice:
    """A part by name, with options."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """What there is to know of a part."""

    description: str
    """One line for people who choose."""
    options: Mapping[str, Schema] = field(default_factory=dict)
    """A JSON schema for each option, with its default; one without has to be given, or is worked out."""
    trainers: Sequence[str] = ALL
    """Who has it."""
    epochs: str = ""
    """The option whose default is the number of epochs."""
    learning_rate: float = 0.01
    """Of an optimizer: the default of `Spec.learning_rate`, which is torch's own but for sgd."""
    losses: Sequence[str] = ()
    """Of a model: the losses it can have, its default first."""
    package: str = ""
    """Of an installed module: its package and version; empty for gradstream's own."""
    rules: Schema = field(default_factory=dict)
    """What else the JSON schema says: how options go together."""

    @property
    def schema(self) -> Schema:
        """The JSON schema of all options together."""
        required = [
            name for name, schema in self.options.items() if "default" not in schema and name != self.epochs
        ]
        schema = {"type": "object", "properties": dict(self.options), "additionalProperties": False}
        return schema | ({"required": required} if required else {}) | dict(self.rules)
