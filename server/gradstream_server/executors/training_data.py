"""What a trainer learns from: matrices, scaled and in the dtype of training.

Those of a data set lie in files that are mapped into memory: they take as much of it as is being read, and
the next job that selects the same finds them there.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gradstream_server.data.room import leave_room
from gradstream_server.data.rows import SelectedRows
from gradstream_server.executors.faults import NoRowsLeft
from gradstream_server.executors.matrix_cache import MatrixCache
from gradstream_server.jobs.spec import FloatArray, InlineData, Spec
from gradstream_server.trainers.scaling import Scaling

_SMALL_NUMBERS = 1 << 18
"""Of a data set: so few are read faster than they are found again."""
_FEATURES, _TARGETS, _SCALING = "features", "targets", "scaling.npy"


@dataclass(frozen=True)
class TrainingData:
    """Rows to learn from."""

    features: FloatArray
    """(rows, features), scaled and in the training dtype; perhaps mapped, and then read-only."""
    targets: FloatArray
    """(rows, targets), in the training dtype."""
    scaling: Scaling | None
    """From the data's own units to those of the features."""

    @classmethod
    def of_inline(cls, spec: Spec, data: InlineData) -> Self:
        """Those that came with a spec."""
        scaling = Scaling.learn(data.features, spec.intercept) if spec.standardize else None
        features = scaling.apply(data.features) if scaling else data.features
        return cls(
            np.ascontiguousarray(features, dtype=spec.dtype),
            np.ascontiguousarray(data.targets, dtype=spec.dtype),
            scaling,
        )

    @classmethod
    def of_dataset(cls, spec: Spec, rows: SelectedRows, cache: MatrixCache) -> Self:
        """Those of a data set.

        Raises:
            NoRowsLeft: each row lacks a value.
            OSError: there is no room for them.
        """
        if rows.rows * (len(spec.data.feature_names) + len(spec.data.target_names)) <= _SMALL_NUMBERS:
            scaling = _scaling(spec, rows)
            parts = list(zip(*_blocks(spec, rows, scaling), strict=True))
            data = cls(np.concatenate(parts[0]), np.concatenate(parts[1]), scaling)
        else:
            data = cls._found_or_made(spec, rows, cache)
        if not len(data.features):
            raise NoRowsLeft
        return data

    @classmethod
    def _found_or_made(cls, spec: Spec, rows: SelectedRows, cache: MatrixCache) -> Self:
        while True:
            folder = cache.entry(_key(spec), lambda folder: _write(spec, rows, folder))
            try:
                return cls._mapped(spec, folder)
            except FileNotFoundError:
                continue  # Another has made room just now.

    @classmethod
    def _mapped(cls, spec: Spec, folder: Path) -> Self:
        scaling = None
        if spec.standardize:
            mean, scale = np.load(folder / _SCALING)
            scaling = Scaling(mean, scale)
        return cls(
            _map(folder / _FEATURES, spec.dtype, len(spec.data.feature_names)),
            _map(folder / _TARGETS, spec.dtype, len(spec.data.target_names)),
            scaling,
        )


def _write(spec: Spec, rows: SelectedRows, folder: Path) -> None:
    scaling = _scaling(spec, rows)
    if scaling:
        np.save(folder / _SCALING, np.stack([scaling.mean, scaling.scale]))
    # Written, not mapped: on a full disk that is an error, and not the end of the process.
    with (folder / _FEATURES).open("wb") as features_file, (folder / _TARGETS).open("wb") as targets_file:
        for features, targets in _blocks(spec, rows, scaling):
            leave_room(folder)
            features_file.write(features.data)
            targets_file.write(targets.data)


def _blocks(
    spec: Spec, rows: SelectedRows, scaling: Scaling | None
) -> Iterator[tuple[NDArray[np.floating], NDArray[np.floating]]]:
    for features, targets in rows.blocks():
        scaled = scaling.apply(features) if scaling else features
        yield np.ascontiguousarray(scaled, spec.dtype), np.ascontiguousarray(targets, spec.dtype)


def _scaling(spec: Spec, rows: SelectedRows) -> Scaling | None:
    if not spec.standardize:
        return None
    blocks = (features for features, _ in rows.blocks() if len(features))
    try:
        return Scaling.gather(blocks, *rows.bounds, spec.intercept)
    except ValueError as error:
        raise NoRowsLeft from error


def _map(path: Path, dtype: str, columns: int) -> FloatArray:
    if not path.stat().st_size:
        return np.empty((0, columns), dtype)
    mapped: FloatArray = np.memmap(path, dtype, "r").reshape(-1, columns)
    return mapped


def _key(spec: Spec) -> str:
    """The same for specs that make the same matrices."""
    assert spec.data.selection, "it is of a data set"
    scaled = (spec.standardize, spec.standardize and spec.intercept)
    parts = (spec.data.digest, asdict(spec.data.selection), spec.dtype, scaled)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
