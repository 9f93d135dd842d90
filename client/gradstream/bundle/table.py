"""Rows to predict, in whatever form they come: as columns by name, or as a matrix."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstream.bundle.faults import refused

if TYPE_CHECKING:
    from gradstream.source import ArrowTable  # with which all of gRPC's messages would come

Rows: TypeAlias = "ArrayLike | Mapping[str, Any] | Sequence[Mapping[str, Any]] | ArrowTable"
"""See `Bundle.predict`."""
Columns: TypeAlias = dict[str, NDArray[Any]]


def columns_of(rows: Rows) -> Columns | None:
    """The columns by name, each (rows); None for a matrix.

    Raises:
        InvalidArgumentError: columns of several lengths or dimensions, or with names that come twice.
    """
    if isinstance(rows, np.ndarray):
        names = rows.dtype.names
        return None if names is None else {name: np.atleast_1d(rows[name]) for name in names}
    if isinstance(rows, Mapping):
        return _of_mapping(rows)
    if hasattr(rows, "__arrow_c_stream__"):
        return _of_table(rows)
    if isinstance(rows, Sequence) and rows and isinstance(rows[0], Mapping):
        return _of_records(cast(Sequence[Mapping[str, Any]], rows))
    return None


def _of_mapping(rows: Mapping[str, Any]) -> Columns:
    columns = {str(name): array_of(str(name), values) for name, values in rows.items()}
    if columns and all(array.ndim == 0 for array in columns.values()):
        return {name: array.reshape(1) for name, array in columns.items()}  # one row
    return _checked(columns)


def _of_records(rows: Sequence[Mapping[str, Any]]) -> Columns:
    names: dict[str, None] = {}
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise refused(
                None, f"row {i + 1} is a {type(row).__name__}; it has to be a mapping like the first"
            )
        names.update(dict.fromkeys(row))
    return {str(name): array_of(str(name), [row.get(name) for row in rows]) for name in names}


def _of_table(rows: Any) -> Columns:
    """Of pandas and polars by what they have themselves, of others by pyarrow."""
    if (hasattr(rows, "columns") and hasattr(rows, "iloc")) or hasattr(rows, "write_ipc_stream"):
        names = [str(name) for name in rows.columns]
        take = {str(name): name for name in rows.columns}
        _unique(names)
        return _checked({name: array_of(name, rows[take[name]].to_numpy()) for name in names})
    try:
        import pyarrow
    except ImportError as error:
        what = f"are a {type(rows).__name__}, which is read with pyarrow only, and that is not installed"
        raise refused(None, f"{what}: pip install pyarrow, or give a mapping of columns") from error
    table = pyarrow.table(rows)
    _unique(table.column_names)
    return {name: array_of(name, table.column(name).to_numpy()) for name in table.column_names}


def array_of(name: str, values: Any) -> NDArray[Any]:
    """The values of a column; those that are masked are missing."""
    if isinstance(values, np.ma.MaskedArray):
        return unmasked(values)
    if (
        isinstance(values, Sequence)
        and not isinstance(values, str)
        and any(isinstance(value, str) for value in values)
    ):
        return np.array(values, dtype=object)  # which NumPy would make texts of numbers beside
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise refused(name, f"column {name!r} is no list of values: {error}") from error


def unmasked(values: np.ma.MaskedArray[Any, Any]) -> NDArray[Any]:
    """The same with None for each value that is masked."""
    if not np.ma.is_masked(values):
        return np.asarray(values.data)
    filled = values.data.astype(object)
    filled[np.ma.getmaskarray(values)] = None
    return filled


def _unique(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise refused(twice, f"column {twice!r} is there twice")


def _checked(columns: Columns) -> Columns:
    length = None
    for name, array in columns.items():
        if array.ndim != 1:
            what = f"column {name!r} has {array.ndim} dimensions; a column has one value for each row"
            raise refused(name, what)
        if length is not None and len(array) != length:
            first = next(iter(columns))
            raise refused(
                name,
                f"column {name!r} has {len(array)} rows, and {first!r} {length}; they have to be as long",
            )
        length = len(array)
    return columns
