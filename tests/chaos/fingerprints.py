"""Events told apart by a few bytes, so that what a watcher has seen can be kept and compared with the log."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from itertools import groupby

import numpy as np

from gradstream import EpochUpdate, EpochUpdates, Event


def fingerprint(value: object) -> bytes:
    """The same for two events, or parts of events, that are the same to the last bit, time and all."""
    digest = hashlib.blake2b(digest_size=12)
    for part in _parts(value):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


def _parts(value: object) -> Iterator[bytes]:
    if isinstance(value, np.ndarray):
        yield f"{value.dtype.str}{value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif is_dataclass(value):
        yield type(value).__name__.encode()
        for each in fields(value):
            yield from _parts(getattr(value, each.name))
    elif isinstance(value, dict):
        yield str(len(value)).encode()
        for name, item in sorted(value.items()):
            yield name.encode()
            yield from _parts(item)
    else:
        yield repr(value).encode()


def together(updates: Iterable[Event]) -> Iterator[Event]:
    """Epochs that were given out one by one, as the events that they came in."""
    for _, group in groupby(updates, lambda update: update.sequence):
        first, *others = group
        if isinstance(first, EpochUpdate):
            yield _columns([first, *(other for other in others if isinstance(other, EpochUpdate))])
        else:
            yield first
            yield from others


def _columns(updates: list[EpochUpdate]) -> EpochUpdates:
    first = updates[0]
    parameters = first.parameters and {
        name: np.stack([update.parameters[name] for update in updates if update.parameters])
        for name in first.parameters
    }
    return EpochUpdates(
        first.job,
        first.sequence,
        first.attempt,
        first.time,
        np.array([update.epoch for update in updates], np.int64),
        np.array([update.loss for update in updates], np.float64),
        parameters,
    )
