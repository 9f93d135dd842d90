"""A run as JSON, one object a line for each event."""

import dataclasses
import json
import math
from collections.abc import Iterator
from datetime import datetime
from itertools import repeat
from types import TracebackType
from typing import Self

import click
import numpy as np
from numpy.typing import NDArray

from gradstream.events import (
    Checkpoint,
    Completed,
    EpochUpdates,
    Event,
    Heartbeat,
    JobWarning,
    Started,
    StateChange,
)

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]

_NAMES: dict[type[Event], str] = {
    StateChange: "state_change",
    Started: "started",
    Checkpoint: "checkpoint",
    JobWarning: "warning",
    Completed: "completed",
}


class JsonView:
    """Prints every event of the log, and where to go on behind it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def connection_lost(self, _text: str) -> bool:
        """Not an event."""
        return False

    def show(self, event: Event) -> None:
        """Print an event; epochs one by one."""
        if isinstance(event, EpochUpdates):
            click.echo("\n".join(_epoch_lines(event)))
        elif not isinstance(event, Heartbeat):
            click.echo(json_line(event, event=_NAMES[type(event)], after=event.sequence))


def _epoch_lines(event: EpochUpdates) -> Iterator[str]:
    """A line for each epoch, as `json_line` would make of its update; whole columns at a time, for speed.

    Watching goes on behind an event, not within one: until its last epoch, `after` is the event before it.
    """
    place = {"job": event.job, "sequence": event.sequence, "attempt": event.attempt}
    time, last = event.time.isoformat(), int(event.epochs[-1])
    names = tuple(event.parameters or ())
    columns = [_list(column) for column in (event.parameters or {}).values()]
    measured = repeat(None) if event.validation_losses is None else iter(_list(event.validation_losses))
    metrics = {name: iter(_list(column)) for name, column in event.metrics.items()}
    for epoch, loss, *values in zip(event.epochs.tolist(), _list(event.losses), *columns, strict=True):
        parameters = dict(zip(names, values, strict=True)) or None
        after = event.sequence if epoch == last else event.sequence - 1
        head = {"event": "epoch_update", "after": after, **place, "time": time}
        update = {"epoch": epoch, "loss": loss, "parameters": parameters, "validation_loss": next(measured)}
        here = {name: next(column) for name, column in metrics.items()}
        yield json.dumps({**head, **update, "metrics": here})


def _list(column: NDArray[np.float64]) -> list[JsonValue]:
    values: list[JsonValue] = column.tolist()
    return values if np.isfinite(column).all() else [as_json(value) for value in values]


def json_line(value: object, **more: JsonValue) -> str:
    """A value of ours as one line of JSON, after further fields."""
    fields = as_json(value)
    return json.dumps({**more, **fields} if isinstance(fields, dict) else fields)


def as_json(value: object) -> JsonValue:
    """A value of ours for `json.dumps`: arrays as lists, times in ISO 8601, NaN and infinity as null."""
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value) if not field.name.startswith("_")]
        return {name: as_json(getattr(value, name)) for name in names}
    match value:
        case bool() | int() | None:
            return value
        case float():
            return value if math.isfinite(value) else None
        case str():
            return str(value)
        case datetime():
            return value.isoformat()
        case np.ndarray():
            return as_json(value.tolist())
        case dict():
            return {str(key): as_json(each) for key, each in value.items()}
        case list() | tuple():
            return [as_json(each) for each in value]
    raise TypeError(f"no JSON for {type(value).__name__}")
