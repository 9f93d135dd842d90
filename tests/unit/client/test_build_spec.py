"""What is sent for arrays and options: a number changed on the way would train something else."""

from typing import Any

import numpy as np
import pandas
import polars
import pytest
from google.protobuf.json_format import MessageToDict
from numpy.typing import ArrayLike

from gradstream.errors import InvalidArgumentError
from gradstream.request import build_spec
from gradstream.tensor import array_of, as_floats, fill
from gradstream.v1 import spec_pb2


def test_nothing_given_is_the_manual_reference_experiment() -> None:
    assert build_spec() == spec_pb2.Spec(trainer="manual")


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 4)])
def test_floats_arrive_as_they_are(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int)).astype(dtype).reshape(shape) / 3
    tensor = spec_pb2.Tensor()
    fill(tensor, array)
    back = array_of(tensor)
    assert back.dtype.itemsize == array.dtype.itemsize
    np.testing.assert_array_equal(back, array)


def test_an_array_that_is_not_contiguous_arrives() -> None:
    array = np.arange(12.0).reshape(3, 4)[:, ::2].T
    tensor = spec_pb2.Tensor()
    fill(tensor, array)
    np.testing.assert_array_equal(array_of(tensor), array)


@pytest.mark.parametrize(
    "values", [[1, 2], [True, False], np.array([1, 2], np.uint8), np.array([1, 2], np.float16), (1.0, 2)]
)
def test_other_numbers_become_float64(values: ArrayLike) -> None:
    array = as_floats(values, "x")
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, np.asarray(values))


@pytest.mark.parametrize(
    "values",
    [
        [[1.0], [1.0, 2.0]],
        ["a"],
        [None],
        [1j],
        np.array([object()]),
        np.array(["2020-01-01"], "M8[D]"),
        np.ma.array([1.0], mask=[True]),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(values: Any) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        build_spec(values, [1.0])
    assert caught.value.violations[0].field == "spec.inline_data.features"
    assert caught.value.reason == "INVALID_SPEC"


def test_flat_features_are_one_feature() -> None:
    spec = build_spec([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert list(spec.inline_data.features.shape) == [3, 1]
    assert list(spec.inline_data.targets.shape) == [3]


@pytest.mark.parametrize(
    ("features", "targets", "missing"), [([1.0], None, "targets"), (None, [1.0], "features")]
)
def test_half_of_the_data_is_refused(
    features: ArrayLike | None, targets: ArrayLike | None, missing: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=missing):
        build_spec(features, targets)


def test_every_option_is_sent() -> None:
    spec = build_spec(
        [[1.0, 2.0]],
        [[3.0]],
        trainer="module",
        device="cpu",
        epochs=np.int64(7),
        learning_rate=np.float32(0.5),
        batch_size=1,
        shuffle=np.False_,  # type: ignore[typeddict-item]  # what comparisons of NumPy give
        gradient_reduction="sum",
        intercept=False,
        l2=0.1,
        dtype="float32",
        seed=3,
        standardize=True,
        initial_parameters={"weight": 0.5},
        report_every=2,
        predict_rows=[1.0, 2.0],
        feature_names=["a", "b"],
        target_names=["c"],
        max_memory_bytes=np.int64(2**30),
        max_seconds=60,
        model="softmax",
        loss=("cross_entropy", {"class_weights": [1, 2]}),
        initialization="zeros",
        optimizer=("adam", {"betas": (0.9, np.float32(0.5)), "amsgrad": True}),
        schedule="cosine",
        clipping=["norm", {"max_norm": 2}],
        mixed_precision="bfloat16",
        validation=([[5.0, 6.0]], [7.0]),
        metrics=["r2", "mae"],
        patience=np.int64(3),
        monitor="mae",
        min_delta=1,
        restore_best=np.False_,  # type: ignore[typeddict-item]
        stop_after_seconds=60,
    )
    unset = [
        field.name
        for field in spec.DESCRIPTOR.fields
        if field.name not in {f.name for f, _ in spec.ListFields()}
    ]
    assert unset == ["dataset", "classes"], "the one in place of inline data, the other set by the server"
    assert (spec.validation.last_rows, list(spec.validation.metrics)) == (1, ["r2", "mae"])
    assert list(spec.inline_data.features.shape) == [2, 2], "those to learn from, and those to measure on"
    stopping = spec.stopping
    assert (stopping.patience, stopping.monitor, stopping.min_delta) == (3, "mae", 1)
    assert (stopping.restore_best, stopping.after_seconds) == (False, 60)
    assert (spec.epochs, spec.learning_rate, spec.shuffle) == (7, 0.5, False)
    assert spec.gradient_reduction == spec_pb2.GRADIENT_REDUCTION_SUM
    assert spec.dtype == spec_pb2.DTYPE_FLOAT32
    assert (spec.max_memory_bytes, spec.max_seconds) == (2**30, 60.0)
    assert MessageToDict(spec.optimizer) == {
        "name": "adam",
        "options": {"betas": [0.9, 0.5], "amsgrad": True},
    }
    assert (spec.schedule.name, spec.clipping.name, spec.clipping.options["max_norm"]) == (
        "cosine",
        "norm",
        2.0,
    )
    assert list(spec.inline_data.feature_names) == ["a", "b"]


def test_columns_of_a_data_set_are_sent() -> None:
    spec = build_spec(
        dataset="ab" * 32,
        target_columns="price",
        feature_columns=["rooms", "city"],
        one_hot=["city"],
        max_categories=7,
        nulls="drop",
        predict_rows=[1.0, 2.0],
    )
    assert spec.dataset == spec_pb2.Selection(
        digest="ab" * 32,
        targets=["price"],
        features=["rooms", "city"],
        one_hot=["city"],
        max_categories=7,
        nulls=spec_pb2.NULL_POLICY_DROP,
    )
    assert list(spec.predict_rows.shape) == [1, 2]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"target_columns": "y"}, "spec.dataset.digest"),
        ({"dataset": "ab", "features": [1.0], "targets": [1.0]}, "spec.dataset"),
        ({"dataset": "ab", "nulls": "zero"}, "spec.dataset.nulls"),
        ({"dataset": "ab", "max_categories": 1}, "spec.dataset.max_categories"),
    ],
)
def test_columns_that_cannot_be_sent_are_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        build_spec(**options)
    assert caught.value.violations[0].field == field


def test_none_counts_as_not_given() -> None:
    given: Any = {"epochs": None, "dtype": None, "initial_parameters": None, "predict_rows": None}
    assert build_spec(**given) == build_spec()


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [
        ("epochs", "ten", "spec.epochs"),
        ("epochs", 2.5, "spec.epochs"),
        ("epochs", 2**70, "spec.epochs"),
        ("max_memory_bytes", 2**70, "spec.max_memory_bytes"),
        ("max_seconds", "long", "spec.max_seconds"),
        ("optimizer", 3, "spec.optimizer"),
        ("optimizer", ("sgd", {"momentum": object()}), "spec.optimizer.options.momentum"),
        ("learning_rate", "fast", "spec.learning_rate"),
        ("gradient_reduction", "median", "spec.gradient_reduction"),
        ("dtype", "float16", "spec.dtype"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_its_field(option: str, value: object, field: str) -> None:
    options: Any = {option: value}
    with pytest.raises(InvalidArgumentError) as caught:
        build_spec(**options)
    assert caught.value.violations[0].field == field


def test_ranges_are_left_to_the_server() -> None:
    assert build_spec(epochs=-1, learning_rate=float("nan")).epochs == -1


def test_an_unknown_option_is_a_type_error() -> None:
    options: Any = {"learning_rte": 0.1}
    with pytest.raises(TypeError, match="learning_rte"):
        build_spec(**options)


@pytest.mark.parametrize(
    ("weight", "shape"),
    [(0.5, []), ([1.0, 2.0, 3.0], [1, 3]), ([[1.0, 2.0, 3.0]], [1, 3]), ([1.0, 2.0], [2])],
)
def test_a_flat_weight_takes_the_shape_of_the_model(weight: ArrayLike, shape: list[int]) -> None:
    spec = build_spec([[1.0, 2.0, 3.0]], [1.0], initial_parameters={"weight": weight})
    assert list(spec.initial_parameters[0].value.shape) == shape


@pytest.mark.parametrize(
    ("features", "rows", "shape"),
    [
        ([1.0, 2.0], 5, [1, 1]),
        ([1.0, 2.0], [5, 6], [2, 1]),
        ([[1.0, 2.0], [3.0, 4.0]], [5, 6], [1, 2]),
        ([[1.0, 2.0], [3.0, 4.0]], [[5, 6], [7, 8]], [2, 2]),
    ],
)
def test_rows_to_predict(features: ArrayLike, rows: ArrayLike, shape: list[int]) -> None:
    assert list(build_spec(features, [1.0, 2.0], predict_rows=rows).predict_rows.shape) == shape


class Frame:
    """What a data frame looks like to us."""

    columns = ("height", "width")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.ones((2, 2), dtype)


def test_names_of_a_data_frame_come_along() -> None:
    assert list(build_spec(Frame(), [1.0, 2.0]).inline_data.feature_names) == ["height", "width"]


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        (polars.Series("price", [1.0, 2.0]), ["price"]),
        (polars.Series([1.0, 2.0]), []),
        (pandas.Series([1.0, 2.0], name="price"), ["price"]),
        (pandas.Series([1.0, 2.0]), []),
        (pandas.Series([1.0, 2.0], name=7), []),
        (pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}), ["a", "b"]),
    ],
)
def test_names_that_tables_bring_along(targets: Any, names: list[str]) -> None:
    """A series without a name would be refused for its empty one."""
    assert list(build_spec([[1.0], [2.0]], targets).inline_data.target_names) == names
