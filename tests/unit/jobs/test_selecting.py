"""What is wrong with a selection is told by column, row and value, with what to do about it."""

import difflib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.unit.data.files import arrow, dataset, read

from gradstream_server.data.dataset import Dataset
from gradstream_server.jobs.errors import InvalidSpec
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.resolve import resolve
from gradstream_server.jobs.spec import SelectionRequest, Spec, SpecRequest
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.registry import TRAINERS

INF = float("inf")
TABLE = pa.table(
    {
        "area": [50.0, 70.0, 90.0],
        "rooms": [2, 3, 4],
        "flag": [True, False, True],
        "city": ["Rome", "Oslo", "Rome"],
        "size": ["5", "6", "n/k"],
        "lacking": [1.0, None, 3.0],
        "lacking kind": ["a", None, "b"],
        "nothing": pa.nulls(3),
        "no number": pa.nulls(3, pa.float64()),
        "no text": pa.nulls(3, pa.string()),
        "infinite": [1.0, 2.0, INF],
        "huge": [1.0, -1e39, 2.0],
        "constant": [7, 7, 7],
        "day": pa.array([1, 2, 3], pa.date32()),
        "interval": pa.array([(1, 2, 3)] * 3, pa.month_day_nano_interval()),
        "list": [[1], [2], [3]],
        "city=Rome": [1, 2, 3],
        "price": [1.0, 2.0, 3.0],
    }
)
LONG = pa.table(
    {"id": [f"{i:05}" for i in range(1001)], "few": [str(i % 200) for i in range(1001)], "y": range(1001)}
)


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return known(tmp_path_factory.mktemp("houses"), TABLE)


def known(folder: Path, table: Any) -> Dataset:
    return dataset(read(folder, arrow(table), "t.arrow"))


def classes(data: Dataset, target: str, model: str = "softmax", **choices: Any) -> Spec:
    """The resolved spec of a model of classes."""
    selection = SelectionRequest(data.digest, targets=(target,), features=("area",), **choices)
    request = SpecRequest("module", selection=selection, parts={"model": Choice(model)})
    return resolve(request, ["cpu"], TRAINERS, Limits(), data)


@pytest.mark.parametrize(
    ("target", "model", "names"),
    [
        ("city", "softmax", ("Oslo", "Rome")),
        ("city", "logistic", ("Oslo", "Rome")),
        ("flag", "logistic", ("false", "true")),
        ("rooms", "softmax", ("2", "3", "4")),
    ],
)
def test_the_values_of_a_target_are_classes(
    houses: Dataset, target: str, model: str, names: tuple[str, ...]
) -> None:
    """A user would have to number the classes in the file."""
    found = classes(houses, target, model)
    assert found.data.classes == names
    assert found.data.selection
    assert found.data.selection.classes == names


@pytest.mark.parametrize(
    ("target", "model", "text"),
    [
        ("constant", "softmax", "column 'constant' holds one class only, '7'"),
        ("rooms", "logistic", "column 'rooms' has 3 classes; log_loss tells two classes apart"),
        ("price", "softmax", "column 'price' is double; classes are text, whole numbers or booleans"),
        ("lacking kind", "softmax", "column 'lacking kind' has no value in 1 of 3 rows"),
    ],
)
def test_a_target_without_classes_is_refused(houses: Dataset, target: str, model: str, text: str) -> None:
    """A model would be trained that tells nothing apart."""
    with pytest.raises(InvalidSpec, match=text):
        classes(houses, target, model)


def spec(data: Dataset, dtype: Any = None, limits: Limits | None = None, **choices: Any) -> Spec:
    """The resolved spec of a selection; "price" from "area" where nothing else is said."""
    choices = {"targets": ("price",), "features": ("area",)} | choices
    request = SpecRequest("manual", selection=SelectionRequest(data.digest, **choices), dtype=dtype)
    return resolve(request, ["cpu"], TRAINERS, limits or Limits(), data)


def wrong(data: Dataset, **choices: Any) -> list[str]:
    """What is said of a selection that is refused."""
    with pytest.raises(InvalidSpec) as raised:
        spec(data, **choices)
    return [f"{each.field}: {each.description}" for each in raised.value.violations]


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ({"targets": ()}, "targets: is missing; name the columns to predict, of area, rooms, flag, city"),
        ({"targets": ("Price",)}, "targets[0]: is 'Price', which is no column; did you mean 'price'?"),
        ({"targets": ("price", "price")}, "targets[1]: is 'price' again; each may stand once"),
        ({"features": ("area", "roms")}, "features[1]: is 'roms', which is no column; did you mean 'rooms'?"),
        (
            {"features": ("qqqq",)},
            "features[0]: is 'qqqq', which is no column; there are area, rooms, flag, city, size, lacking, "
            "lacking kind, nothing, no number, no text and 8 more",
        ),
        ({"features": ("area", "area")}, "features[1]: is 'area' again; each may stand once"),
        (
            {"features": ("area", "price")},
            "features: names 'price', which is a target too; leave it out of one",
        ),
        (
            {"targets": ("city",)},
            "targets: column 'city' is text: row 1 holds 'Rome', which is no number; name one of numbers",
        ),
        (
            {"features": ("size",)},
            "features: column 'size' is text: row 3 holds 'n/k', which is no number; "
            "name it in one_hot, or leave it out",
        ),
        ({"features": ("day",)}, "features: column 'day' is date32[day]; only numbers can be used"),
        ({"targets": ("list",)}, "targets: column 'list' is list<item: int64>; only numbers can be used"),
        (
            {"features": ("infinite",)},
            "features: column 'infinite' is infinite in row 3; only finite numbers can be used",
        ),
        (
            {"targets": ("infinite",), "nulls": "drop"},
            "targets: column 'infinite' is infinite in row 3; only finite numbers can be used",
        ),
        (
            {"features": ("lacking",)},
            "features: column 'lacking' has no value in 1 of 3 rows, first in row 2; "
            "set nulls to DROP or MEAN, or leave it out",
        ),
        (
            {"targets": ("lacking",), "nulls": "mean"},
            "targets: column 'lacking' has no value in 1 of 3 rows, first in row 2; "
            "set nulls to DROP, or leave it out",
        ),
        (
            {"features": ("lacking kind",), "one_hot": ("lacking kind",)},
            "features: column 'lacking kind' has no value in 1 of 3 rows, first in row 2; "
            "set nulls to DROP or MEAN, or leave it out",
        ),
        *(
            (
                {"features": (name,), "nulls": nulls},
                f"features: column {name!r} has no value in any row; leave it out",
            )
            for name in ("nothing", "no number")
            for nulls in ("error", "drop", "mean")
        ),
        (
            {"features": ("no text",), "one_hot": ("no text",), "nulls": "drop"},
            "features: column 'no text' has no value in any row; leave it out",
        ),
        ({"targets": ("nothing",)}, "targets: column 'nothing' has no value in any row; leave it out"),
        (
            {"one_hot": ("city",)},
            "one_hot: names 'city', which is none of the features; add it there",
        ),
        (
            {"one_hot": ("area",)},
            "one_hot: column 'area' is double; only text and whole numbers are encoded so",
        ),
        (
            {"features": ("interval",), "one_hot": ("interval",)},
            "one_hot: column 'interval' is month_day_nano_interval; only text and whole numbers are encoded",
        ),
        (
            {"features": (), "one_hot": ("price",)},
            "one_hot: names 'price', which is a target too; leave it out of one",
        ),
        (
            {"features": (), "one_hot": ("ctiy",)},
            "one_hot[0]: is 'ctiy', which is no column; did you mean 'city'?",
        ),
        (
            {"features": ("city", "city=Rome"), "one_hot": ("city",)},
            "features: two of the model's features would be named 'city=Rome'; leave one of the columns out",
        ),
        ({"max_categories": 1}, "max_categories: is 1; it has to be from 2 to 1000"),
        ({"max_categories": 1001}, "max_categories: is 1001; it has to be from 2 to 1000"),
        (
            {"features": ("huge",), "dtype": "float32"},
            "features: column 'huge' holds numbers too large for float32; use dtype float64",
        ),
        (
            {"targets": ("huge",), "dtype": "float32"},
            "targets: column 'huge' holds numbers too large for float32; use dtype float64",
        ),
    ],
)
def test_what_is_wrong(houses: Dataset, choices: dict[str, Any], text: str) -> None:
    """Whoever selects what cannot be learnt from would not know which column, or row, is to blame."""
    (told,) = wrong(houses, **choices)
    assert told.startswith(f"spec.dataset.{text}")


def test_all_that_is_wrong_is_told_at_once(houses: Dataset) -> None:
    told = wrong(
        houses, targets=("Price",), features=("city", "lacking", "infinite", "area"), max_categories=1
    )
    assert len(told) == 5


def test_names_in_a_wide_table_keep_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request about a table of thousands of columns would keep the server from all others for minutes."""
    names = [f"{'n' * 190}{i}" for i in range(3000)]
    table = pa.table({name: [1, 2] for name in names})
    data = known(tmp_path, table)
    assert len(spec(data, targets=tuple(names[:1]), features=tuple(names[1:])).data.feature_names) == 2999
    compared = 0

    class Counting(difflib.SequenceMatcher):
        def ratio(self) -> float:
            nonlocal compared
            compared += len(self.a) * len(self.b)
            return super().ratio()

    with monkeypatch.context() as patched:
        patched.setattr(difflib, "SequenceMatcher", Counting)
        told = wrong(data, targets=tuple(names[:1]), features=tuple(f"m{name}" for name in names))
    assert len(told) == 6
    assert "which is no column; did you mean 'nnn" in told[0]
    assert told[-1] == f"spec.dataset.features: and 2995 more are no columns, such as {f'm{names[5]}'!r}"
    assert compared < 6_000_000


def test_decimal_commas_are_told(tmp_path: Path) -> None:
    """Whoever writes 1,5 would not know why that is no number."""
    data = known(tmp_path, pa.table({"a": ["1,5", "2,5"], "b": ["1,2,3", "x"], "y": [1, 2]}))
    (told,) = wrong(data, targets=("y",), features=("a",))
    assert "row 1 holds '1,5', which is no number; write decimals with a point; name it" in told
    (told,) = wrong(data, targets=("y",), features=("b",))
    assert "point" not in told


def test_too_many_kinds(tmp_path: Path) -> None:
    data = known(tmp_path, LONG)
    choices: dict[str, Any] = {"targets": ("y",)}
    assert wrong(data, **choices, features=("few",), one_hot=("few",)) == [
        "spec.dataset.one_hot: column 'few' has 200 different values; at most 100 may be encoded, "
        "see max_categories"
    ]
    assert wrong(data, **choices, features=("id",), one_hot=("id",), max_categories=1000) == [
        "spec.dataset.one_hot: column 'id' has more than 1000 different values, or long ones; "
        "it cannot be encoded, leave it out"
    ]
    found = spec(data, **choices, features=("few",), one_hot=("few",), max_categories=200)
    assert len(found.data.feature_names) == 200


def test_more_parameters_than_a_model_may_have(houses: Dataset) -> None:
    told = wrong(houses, features=("city", "rooms"), one_hot=("city",), limits=Limits(max_parameters=3))
    assert len(told) == 1


def test_what_is_selected_by_itself(tmp_path: Path) -> None:
    """All columns of numbers but the targets, and behind them those that are encoded."""
    table = TABLE.select(["area", "rooms", "flag", "city", "nothing", "constant", "day", "price"])
    found = spec(known(tmp_path, table), features=(), one_hot=("city",)).data
    assert found.selection
    assert found.selection.features == ("area", "rooms", "constant", "city")
    assert found.selection.one_hot == ("city",)
    assert (found.selection.max_categories, found.selection.nulls) == (100, "error")
    assert found.feature_names == ("area", "rooms", "constant", "city=Oslo", "city=Rome")
    assert found.target_names == ("price",)
    assert found.rows == 3


def test_nothing_is_left_to_learn_from(tmp_path: Path) -> None:
    assert wrong(known(tmp_path, TABLE.select(["city", "flag", "price"])), features=()) == [
        "spec.dataset.features: is empty, and beside the targets the data set has no column of numbers; "
        "name features, and those of text in one_hot, too"
    ]


def test_booleans_and_constants_can_be_learnt_from(houses: Dataset) -> None:
    found = spec(houses, features=("flag", "constant")).data
    assert found.feature_names == ("flag", "constant")
    assert spec(houses, features=("area",), targets=("flag",)).data.target_names == ("flag",)


def test_the_dtype_holds_all_numbers_exactly(tmp_path: Path) -> None:
    """Large whole numbers would be rounded without a word."""
    kinds: list[Any] = [
        pa.int8(),
        pa.uint16(),
        pa.float16(),
        pa.float32(),
        pa.int32(),
        pa.int64(),
        pa.float64(),
    ]
    table = pa.table(
        {str(kind): pa.array([1, 2, 3], kind) for kind in kinds} | {"flag": [True] * 3, "text": ["a"] * 3}
    )
    data = known(tmp_path, table)
    for name in table.column_names:
        one_hot = ("text",) if name == "text" else ()
        found = spec(
            data, targets=("int8",) if name != "int8" else ("float",), features=(name,), one_hot=one_hot
        )
        assert found.dtype == ("float64" if name in ("int32", "int64", "double") else "float32"), name
