"""From the columns that were asked for to those that are learnt from, by what is known of each."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from gradstream_server.data.dataset import MAX_CATEGORIES, Column, ColumnType, Dataset
from gradstream_server.jobs.check import Check, nearest
from gradstream_server.jobs.classes import of_column
from gradstream_server.jobs.spec import DataSummary, Dtype, Nulls, SelectedColumn, Selection, SelectionRequest

_MAX_CATEGORIES = 100
_FLOAT32 = ("float", "halffloat", "int8", "int16", "uint8", "uint16", "bool")
"""Types of Arrow whose numbers float32 holds exactly."""
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
_SHOWN = 10
_MOST_HINTS = 5
"""Names of a request that are no columns, and for which one is looked for that is near."""


def select(check: Check, request: SelectionRequest, dataset: Dataset, loss: str = "") -> DataSummary | None:
    """The data that a request selects; None, with what is wrong noted, when they cannot be learnt from.

    Args:
        loss: one of classes, when the target is one; empty otherwise.
    """
    selecting = _Selecting(check, request, dataset, loss)
    targets = selecting.targets()
    features = selecting.features(targets)
    if targets is None or features is None:
        return None
    selection = Selection(
        targets=tuple(column.name for column in targets),
        features=tuple(column.name for column in features),
        one_hot=tuple(column.name for column in features if column.name in selecting.one_hot),
        max_categories=request.max_categories or _MAX_CATEGORIES,
        nulls=selecting.nulls,
        classes=selecting.classes,
        feature_columns=tuple(_known(column, selecting) for column in features),
        target_columns=tuple(SelectedColumn(column.name, column.type, 0) for column in targets),
    )
    names = encoded_names(features, selection.one_hot)
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        what = f"two of the model's features would be named {twice!r}; leave one of the columns out"
        check.fail("dataset.features", what)
        return None
    numbers = [column for column in features if column.name not in selecting.one_hot]
    numbers += [] if loss else targets
    dtype: Dtype = "float32" if all(column.arrow_type in _FLOAT32 for column in numbers) else "float64"
    return DataSummary(
        digest=dataset.digest,
        rows=dataset.table.rows,
        feature_names=tuple(names),
        target_names=selection.targets,
        dtype=dtype,
        inline=False,
        selection=selection,
        classes=selecting.classes,
    )


def check_fits(check: Check, summary: DataSummary, dataset: Dataset, dtype: Dtype) -> None:
    """The numbers of the selected columns have to be finite in the training dtype too."""
    if dtype != "float32" or summary.selection is None:
        return
    most = float(np.finfo(np.float32).max)
    for field, names in (("features", summary.selection.features), ("targets", summary.selection.targets)):
        for name in names:
            column = dataset.column(name)
            if column and column.max is not None and max(column.max, -(column.min or 0.0)) > most:
                what = f"column {name!r} holds numbers too large for float32; use dtype float64"
                check.fail(f"dataset.{field}", what)


def encoded_names(features: Sequence[Column], one_hot: Sequence[str]) -> list[str]:
    """Names of the features as the model has them."""
    names: list[str] = []
    encoded = set(one_hot)
    for column in features:
        if column.name in encoded:
            names.extend(f"{column.name}={category}" for category in column.categories)
        else:
            names.append(column.name)
    return names


def _known(column: Column, selecting: "_Selecting") -> SelectedColumn:
    """What of a feature's column is needed to encode rows to predict."""
    if column.name in selecting.one_hot:
        return SelectedColumn(column.name, column.type, len(column.categories))
    return SelectedColumn(column.name, column.type, 1, column.mean if selecting.nulls == "mean" else None)


class _Selecting:
    def __init__(self, check: Check, request: SelectionRequest, dataset: Dataset, loss: str) -> None:
        self._check = check
        self._request = request
        self._dataset = dataset
        self._loss = loss
        self.one_hot = frozenset(request.one_hot)
        self.classes: tuple[str, ...] = ()
        self.nulls: Nulls = request.nulls or "error"
        check.whole("dataset.max_categories", request.max_categories, 2, MAX_CATEGORIES)

    def targets(self) -> list[Column] | None:
        """The columns to predict."""
        if not self._request.targets:
            have = ", ".join(column.name for column in self._dataset.table.columns[:_SHOWN])
            self._check.fail("dataset.targets", f"is missing; name the columns to predict, of {have}")
            return None
        columns = self._named("targets", self._request.targets)
        if columns is None:
            return None
        if self._loss:
            if len(columns) > 1:
                what = f"names {len(columns)} columns; {self._loss} takes one, that of the class"
                self._check.fail("dataset.targets", what)
                return None
            self.classes = of_column(self._check, columns[0], self._loss)
            if not self.classes:
                return None
        sound = [
            (bool(self._loss) or self._has_numbers("targets", column))
            and self._has_values("targets", column, allowed=self.nulls == "drop")
            for column in columns
        ]
        return columns if all(sound) else None

    def features(self, targets: list[Column] | None) -> list[Column] | None:
        """The columns to learn from."""
        request = self._request
        if not request.features:
            return self._all_numbers(targets or [])
        columns = self._named("features", request.features)
        if columns is None:
            return None
        sound = [self._can_be_feature(column) for column in columns]
        there, targeted = set(request.features), set(request.targets)
        for name in request.one_hot:
            if name not in there:
                self._check.fail(
                    "dataset.one_hot", f"names {name!r}, which is none of the features; add it there"
                )
                sound.append(False)
        for name in request.features:
            if name in targeted:
                self._check.fail(
                    "dataset.features", f"names {name!r}, which is a target too; leave it out of one"
                )
                sound.append(False)
        return columns if all(sound) else None

    def _all_numbers(self, targets: list[Column]) -> list[Column] | None:
        """All columns of numbers but the targets, and behind them those that are encoded."""
        one_hot = self._named("one_hot", self._request.one_hot)
        if one_hot is None:
            return None
        taken = {column.name for column in (*targets, *one_hot)}
        if again := [name for name in self._request.one_hot if name in self._request.targets]:
            self._check.fail(
                "dataset.one_hot", f"names {again[0]!r}, which is a target too; leave it out of one"
            )
            return None
        numbers = [
            column
            for column in self._dataset.table.columns
            if column.type is ColumnType.NUMBER and column.name not in taken
        ]
        sound = [self._can_be_feature(column) for column in (*numbers, *one_hot)]
        if not sound:
            what = "is empty, and beside the targets the data set has no column of numbers; name features, "
            self._check.fail("dataset.features", what + "and those of text in one_hot, too")
        return [*numbers, *one_hot] if sound and all(sound) else None

    def _named(self, field: str, names: Sequence[str]) -> list[Column] | None:
        columns: list[Column] = []
        seen: set[str] = set()
        missing = 0
        for i, name in enumerate(names):
            column = self._dataset.column(name)
            if column is None and missing == _MOST_HINTS:
                others = sum(self._dataset.column(other) is None for other in names[i:])
                what = f"and {others} more are no columns, such as {name!r}"
                self._check.fail(f"dataset.{field}", what)
                return None
            if column is None:
                missing += 1
                there = [each.name for each in self._dataset.table.columns]
                hint = nearest(name, there) or f"; there are {', '.join(there[:_SHOWN])}"
                more = (
                    f" and {len(there) - _SHOWN} more"
                    if "did you" not in hint and len(there) > _SHOWN
                    else ""
                )
                self._check.fail(f"dataset.{field}[{i}]", f"is {name!r}, which is no column{hint}{more}")
            elif name in seen:
                self._check.fail(f"dataset.{field}[{i}]", f"is {name!r} again; each may stand once")
            else:
                columns.append(column)
            seen.add(name)
        return columns if len(columns) == len(names) else None

    def _can_be_feature(self, column: Column) -> bool:
        if column.name in self.one_hot:
            sound = self._has_categories(column)
        else:
            sound = self._has_numbers("features", column)
        return sound and self._has_values("features", column, allowed=self.nulls != "error")

    def _has_numbers(self, field: str, column: Column) -> bool:
        if column.type is ColumnType.TEXT:
            what = f"column {column.name!r} is text"
            if column.first_text_row:
                what += f": row {column.first_text_row} holds {column.first_text!r}, which is no number"
                if _DECIMAL_COMMA.fullmatch(column.first_text):
                    what += "; write decimals with a point"
            hint = "name it in one_hot, or leave it out" if field == "features" else "name one of numbers"
            self._check.fail(f"dataset.{field}", f"{what}; {hint}")
        elif column.type not in (ColumnType.NUMBER, ColumnType.BOOLEAN) and column.arrow_type != "null":
            what = f"column {column.name!r} is {column.arrow_type}; only numbers can be used"
            self._check.fail(f"dataset.{field}", what)
        elif column.first_infinite_row:
            what = f"column {column.name!r} is infinite in row {column.first_infinite_row}"
            self._check.fail(f"dataset.{field}", f"{what}; only finite numbers can be used")
        else:
            return True
        return False

    def _has_categories(self, column: Column) -> bool:
        most = self._request.max_categories or _MAX_CATEGORIES
        is_whole = column.type is ColumnType.NUMBER and "int" in column.arrow_type
        if column.type is not ColumnType.TEXT and not is_whole:
            what = (
                f"column {column.name!r} is {column.arrow_type}; only text and whole numbers are encoded so"
            )
            self._check.fail("dataset.one_hot", what)
        elif not column.categories and column.nulls < self._dataset.table.rows:
            what = f"column {column.name!r} has more than {MAX_CATEGORIES} different values, or long ones"
            self._check.fail("dataset.one_hot", f"{what}; it cannot be encoded, leave it out")
        elif len(column.categories) > most:
            count = len(column.categories)
            what = f"column {column.name!r} has {count} different values; at most {most} may be encoded"
            self._check.fail("dataset.one_hot", f"{what}, see max_categories")
        else:
            return True
        return False

    def _has_values(self, field: str, column: Column, allowed: bool) -> bool:
        rows = self._dataset.table.rows
        if column.nulls == rows:
            self._check.fail(
                f"dataset.{field}", f"column {column.name!r} has no value in any row; leave it out"
            )
        elif column.nulls and not allowed:
            what = f"column {column.name!r} has no value in {column.nulls} of {rows} rows, first in row "
            what += str(column.first_null_row)
            hint = "set nulls to DROP or MEAN" if field == "features" else "set nulls to DROP"
            self._check.fail(f"dataset.{field}", f"{what}; {hint}, or leave it out")
        else:
            return True
        return False
