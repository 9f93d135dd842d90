"""From rows to features: columns encoded as they were for training, and missing values filled."""

from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstream.bundle.bundle import Bundle, InputColumn
from gradstream.bundle.faults import listed, nearest, refused, shown
from gradstream.bundle.functions import Floats
from gradstream.bundle.table import Columns, Rows, columns_of, unmasked

_MISSING = -1
_UNKNOWN = -2


class Encoder:
    """Encodes rows for one bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self._features = bundle.features
        self._columns = bundle.columns
        self._nulls = bundle.nulls
        self._places = {column.name: _places(column) for column in bundle.columns if column.categories}
        self._fill: NDArray[np.float64] | None = None
        """What stands in for a missing number, of each feature."""
        if bundle.nulls == "mean":
            self._fill = np.concatenate(
                [
                    np.zeros(len(column.categories)) if column.categories else np.array([column.mean])
                    for column in bundle.columns
                ]
            )

    def encode(self, rows: Rows) -> Floats:
        """Finite features (rows, features), float32 or float64, in the data's own units.

        Raises:
            InvalidArgumentError: they cannot be; see `Bundle.predict`.
        """
        columns = columns_of(rows)
        features = self._of_matrix(rows) if columns is None else self._of_columns(columns)
        if np.isfinite(features).all():
            return features
        if self._fill is not None:
            missing = np.isnan(features)
            features = np.where(missing, self._fill, features)
        return self._finite(features)

    def _of_matrix(self, rows: Any) -> Floats:
        matrix = _as_matrix(rows, len(self._features), len(self._columns))
        width, is_numbers = matrix.shape[1], matrix.dtype.kind in "fiub"
        if width == len(self._features) and (is_numbers or width != len(self._columns) or not self._places):
            if is_numbers:
                return matrix if matrix.dtype in (np.float32, np.float64) else _wide(matrix)
            return np.stack([_numbers(name, matrix[:, i]) for i, name in enumerate(self._features)], axis=1)
        if width == len(self._columns):
            return self._of_columns({column.name: matrix[:, i] for i, column in enumerate(self._columns)})
        has = f"have {width} columns; the model has {len(self._features)} features"
        if self._places:
            has += f", encoded from {len(self._columns)} columns: {listed(c.name for c in self._columns)}"
        else:
            has += f": {listed(self._features)}"
        raise refused(None, has)

    def _of_columns(self, columns: Columns) -> NDArray[np.float64]:
        for column in self._columns:
            if column.name not in columns:
                hint = nearest(column.name, columns) or f"; there are {listed(columns) or 'none'}"
                raise refused(column.name, f"column {column.name!r} is missing{hint}")
        features = np.zeros((len(columns[self._columns[0].name]), len(self._features)))
        place = 0
        for column in self._columns:
            values = columns[column.name]
            if column.categories:
                numbers = self._categories(column, values)
                there = np.flatnonzero(numbers >= 0)
                features[there, place + numbers[there]] = 1
                place += len(column.categories)
            else:
                features[:, place] = _numbers(column.name, values)
                place += 1
        return features

    def _categories(self, column: InputColumn, values: NDArray[Any]) -> NDArray[np.intp]:
        """The number of each row's category, or _MISSING where the policy takes that."""
        places, name = self._places[column.name], column.name
        given = values.tolist()
        numbers = np.fromiter((_place(places, value) for value in given), np.intp, len(given))
        if (numbers == _UNKNOWN).any():
            row = int(np.argmax(numbers == _UNKNOWN))
            value = given[row]
            hint = nearest(value, map(str, column.categories)) if isinstance(value, str) else ""
            what = f"row {row + 1} holds {shown(value)} in {name!r}, which is none of its categories"
            raise refused(name, f"{what}{hint or ': ' + listed(column.categories)}")
        if self._fill is None and (numbers == _MISSING).any():
            raise self._missing(int(np.argmax(numbers == _MISSING)), name)
        return numbers

    def _finite(self, features: Floats) -> Floats:
        """The features, if they are finite."""
        wrong = np.argwhere(~np.isfinite(features))
        if not len(wrong):
            return features
        row, column = wrong[0]
        name, value = self._features[column], features[row, column]
        if np.isnan(value):
            raise self._missing(row, name)
        raise refused(name, f"row {row + 1} holds {value} in {name!r}; only finite numbers can be predicted")

    def _missing(self, row: int, name: str) -> Exception:
        what = f'row {row + 1} has no value in {name!r}, and the model was trained with nulls "{self._nulls}"'
        return refused(name, f"{what}: leave the row out, or put a value there")


def _places(column: InputColumn) -> dict[Any, int]:
    """The number of each category. Whole numbers may be given as text also, as CSV has them."""
    places: dict[Any, int] = {category: i for i, category in enumerate(column.categories)}
    return places | {str(category): i for i, category in enumerate(column.categories)}


def _place(places: dict[Any, int], value: Any) -> int:
    if is_missing(value):
        return _MISSING
    try:
        return _UNKNOWN if isinstance(value, bool) else places.get(value, _UNKNOWN)
    except TypeError:  # it has no hash
        return _UNKNOWN


def is_missing(value: Any) -> bool:
    """Whether it is None, NaN or what pandas has for a missing value."""
    return value is None or (isinstance(value, float) and value != value) or type(value).__name__ == "NAType"


def _as_matrix(rows: Any, features: int, columns: int) -> NDArray[Any]:
    """(rows, columns): a number is a row, a flat list is one row, or a row a number for one feature."""
    if isinstance(rows, np.ma.MaskedArray):
        rows = unmasked(rows)
    try:
        matrix = np.asarray(rows)
        if matrix.dtype.kind in "US" and not isinstance(rows, np.ndarray):
            matrix = np.asarray(rows, dtype=object)  # numbers beside text are still numbers
    except (TypeError, ValueError) as error:
        raise refused(
            None, f"have to be a matrix with rows of one length, or columns by name: {error}"
        ) from error
    if matrix.ndim == 0:
        matrix = matrix.reshape(1, 1)
    elif matrix.ndim == 1:
        matrix = matrix[:, np.newaxis] if features == columns == 1 else matrix[np.newaxis, :]
    if matrix.ndim != 2:
        raise refused(None, f"have {matrix.ndim} dimensions; a matrix has 2: (rows, features)")
    return matrix


def _numbers(name: str, values: NDArray[Any]) -> Floats:
    """A column as numbers, NaN where there is none."""
    if values.dtype.kind in "fiub":
        return _wide(values)
    if values.dtype.kind not in "OUS":
        raise refused(name, f"column {name!r} is {values.dtype}; it has to be numbers")
    return np.array([_number(name, row, value) for row, value in enumerate(values.tolist())], np.float64)


def _wide(values: NDArray[Any]) -> Floats:
    with np.errstate(over="ignore"):
        return values.astype(np.float64)


def _number(name: str, row: int, value: Any) -> float:
    if is_missing(value):
        return float("nan")
    if isinstance(value, int | float | Decimal | np.number | np.bool) and not isinstance(value, complex):
        try:
            return float(value)
        except (OverflowError, ValueError) as error:
            raise refused(name, f"row {row + 1} holds a number in {name!r} that is too large") from error
    raise refused(name, f"row {row + 1} holds {shown(value)} in {name!r}, which is no number")
