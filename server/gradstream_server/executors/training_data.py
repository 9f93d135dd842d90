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

from gradstream_server.data.picking import PickedRows, held_out
from gradstream_server.data.room import leave_room
from gradstream_server.data.rows import SelectedRows, Source
from gradstream_server.executors.faults import NoRowsLeft
from gradstream_server.executors.matrix_cache import MatrixCache
from gradstream_server.jobs.spec import FloatArray, InlineData, Spec
from gradstream_server.trainers.problem import Rows
from gradstream_server.trainers.scaling import Scaling

_SMALL_NUMBERS = 1 << 18
"""Of a data set: so few are read faster than they are found again."""
_FEATURES, _TARGETS, _SCALING, _VALIDATION = "features", "targets", "scaling.npy", "validation"


@dataclass(frozen=True)
class TrainingData:
    """Rows to learn from."""

    features: FloatArray
    """(rows, features), scaled and in the training dtype; perhaps mapped, and then read-only."""
    targets: FloatArray
    """(rows, targets), in the training dtype."""
    scaling: Scaling | None
    """From the data's own units to those of the features; learnt from these rows."""
    validation: Rows | None = None
    """Rows to measure on, alike."""

    @classmethod
    def of_inline(cls, spec: Spec, data: InlineData) -> Self:
        """Those that came with a spec."""
        held = None
        if spec.validation:
            picked = held_out(spec.validation, len(data.features), spec.seed)
            held = data.features[picked], data.targets[picked]
            data = InlineData(data.features[~picked], data.targets[~picked])
        scaling = Scaling.learn(data.features, spec.intercept) if spec.standardize else None
        features, targets = _converted(spec, (data.features, data.targets), scaling)
        validation = Rows(*_converted(spec, held, scaling)) if held else None
        return cls(features, targets, scaling, validation)

    @classmethod
    def of_dataset(
        cls, spec: Spec, rows: SelectedRows, cache: MatrixCache, others: SelectedRows | None = None
    ) -> Self:
        """Those of a data set.

        Args:
            others: the rows to measure on, where those are of another data set.

        Raises:
            NoRowsLeft: each row lacks a value.
            OSError: there is no room for them.
        """
        columns = len(spec.data.feature_names) + len(spec.data.target_names)
        if (rows.rows + (others.rows if others else 0)) * columns <= _SMALL_NUMBERS:
            learnt, measured = _split(spec, rows, others)
            scaling = _scaling(spec, learnt)
            data = cls(
                *_together(spec, learnt, scaling),
                scaling,
                Rows(*_together(spec, measured, scaling)) if measured else None,
            )
        else:
            data = cls._found_or_made(spec, rows, cache, others)
        if not len(data.features):
            raise NoRowsLeft("to learn from" if data.validation else "")
        if data.validation and not len(data.validation.features):
            raise NoRowsLeft("to measure on")
        return data

    @classmethod
    def _found_or_made(
        cls, spec: Spec, rows: SelectedRows, cache: MatrixCache, others: SelectedRows | None
    ) -> Self:
        def write(folder: Path) -> None:
            learnt, measured = _split(spec, rows, others)
            scaling = _scaling(spec, learnt)
            _write(spec, learnt, scaling, folder)
            if measured:
                (folder / _VALIDATION).mkdir()
                _write(spec, measured, scaling, folder / _VALIDATION)

        while True:
            folder = cache.entry(_key(spec), write)
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
        validation = Rows(*_mapped(spec, folder / _VALIDATION)) if spec.validation else None
        return cls(*_mapped(spec, folder), scaling, validation)


def _split(spec: Spec, rows: SelectedRows, others: SelectedRows | None) -> tuple[Source, Source | None]:
    """The rows to learn from, and those to measure on."""
    if others or not spec.validation:
        return rows, others
    picked = held_out(spec.validation, rows.count(), spec.seed)
    return PickedRows(rows, ~picked), PickedRows(rows, picked)


def _together(spec: Spec, rows: Source, scaling: Scaling | None) -> tuple[FloatArray, FloatArray]:
    features, targets = zip(*_blocks(spec, rows, scaling), strict=True)
    return np.concatenate(features), np.concatenate(targets)


def _mapped(spec: Spec, folder: Path) -> tuple[FloatArray, FloatArray]:
    return (
        _map(folder / _FEATURES, spec.dtype, len(spec.data.feature_names)),
        _map(folder / _TARGETS, spec.dtype, len(spec.data.target_names)),
    )


def _write(spec: Spec, rows: Source, scaling: Scaling | None, folder: Path) -> None:
    if scaling:
        np.save(folder / _SCALING, np.stack([scaling.mean, scaling.scale]))
    # Written, not mapped: on a full disk that is an error, and not the end of the process.
    with (folder / _FEATURES).open("wb") as features_file, (folder / _TARGETS).open("wb") as targets_file:
        for features, targets in _blocks(spec, rows, scaling):
            leave_room(folder)
            features_file.write(features.data)
            targets_file.write(targets.data)


def _blocks(spec: Spec, rows: Source, scaling: Scaling | None) -> Iterator[tuple[FloatArray, FloatArray]]:
    for block in rows.blocks():
        yield _converted(spec, block, scaling)


def _converted(
    spec: Spec, block: tuple[NDArray[np.floating], NDArray[np.floating]], scaling: Scaling | None
) -> tuple[FloatArray, FloatArray]:
    features, targets = block
    scaled = scaling.apply(features) if scaling else features
    return np.ascontiguousarray(scaled, spec.dtype), np.ascontiguousarray(targets, spec.dtype)


def _scaling(spec: Spec, rows: Source) -> Scaling | None:
    if not spec.standardize:
        return None
    blocks = (features for features, _ in rows.blocks() if len(features))
    try:
        return Scaling.gather(blocks, *rows.bounds, spec.intercept)
    except ValueError as error:
        raise NoRowsLeft("to learn from" if spec.validation else "") from error


def _map(path: Path, dtype: str, columns: int) -> FloatArray:
    if not path.stat().st_size:
        return np.empty((0, columns), dtype)
    mapped: FloatArray = np.memmap(path, dtype, "r").reshape(-1, columns)
    return mapped


def _key(spec: Spec) -> str:
    """The same for specs that make the same matrices."""
    assert spec.data.selection, "it is of a data set"
    scaled = (spec.standardize, spec.standardize and spec.intercept)
    parts: tuple[object, ...] = (spec.data.digest, asdict(spec.data.selection), spec.dtype, scaled)
    if (held := spec.validation) is not None:
        parts = (*parts, held.fraction and (held.fraction, spec.seed), held.last_rows, held.dataset)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
