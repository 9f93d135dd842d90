"""From a request to a spec: a user gets what was asked for, or is told what is wrong and what is allowed."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from tests.domain import DEVICES, LIMITS, requests, table

from gradstream_server.jobs import reference
from gradstream_server.jobs.errors import DeviceNotAvailable, InvalidSpec
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.resolve import resolve
from gradstream_server.jobs.spec import InlineData, Spec, SpecRequest
from gradstream_server.trainers.registry import TRAINERS


def resolve_all(trainer: str = "manual", **fields: Any) -> Spec:
    return resolve(SpecRequest(trainer, **fields), DEVICES, TRAINERS, LIMITS)


def violations(trainer: str = "manual", **fields: Any) -> dict[str, str]:
    with pytest.raises(InvalidSpec) as raised:
        resolve_all(trainer, **fields)
    return {violation.field: violation.description for violation in raised.value.violations}


OUT_OF_RANGE = [
    ({"trainer": "torch"}, "trainer", "is 'torch'; this server has manual, autograd, module"),
    ({"trainer": "Modul"}, "trainer", "did you mean 'module'?"),
    ({"trainer": ""}, "trainer", "is missing; this server has manual"),
    ({"epochs": 0}, "epochs", "is 0; it has to be from 1 to 1000"),
    ({"epochs": -1}, "epochs", "is -1; it has to be from 1 to 1000"),
    ({"epochs": 1001}, "epochs", "is 1001; it has to be from 1 to 1000"),
    ({"learning_rate": 0.0}, "learning_rate", "is 0; it has to be finite and above 0"),
    ({"learning_rate": -0.1}, "learning_rate", "is -0.1; it has to be finite and above 0"),
    ({"learning_rate": math.inf}, "learning_rate", "is inf; it has to be finite and above 0"),
    ({"learning_rate": math.nan}, "learning_rate", "is nan; it has to be finite and above 0"),
    ({"batch_size": 0}, "batch_size", "is 0; it has to be at least 1"),
    ({"batch_size": -4}, "batch_size", "is -4; it has to be at least 1"),
    ({"l2": -1e-9}, "l2", "is -1e-09; it has to be finite and at least 0"),
    ({"l2": math.nan}, "l2", "is nan; it has to be finite and at least 0"),
    ({"l2": math.inf}, "l2", "is inf; it has to be finite and at least 0"),
    ({"seed": -1}, "seed", "is -1; it has to be from 0 to 9223372036854775807"),
    ({"seed": 2**63}, "seed", "it has to be from 0 to 9223372036854775807"),
    ({"report_every": 0}, "report_every", "is 0; it has to be at least 1"),
]


@pytest.mark.parametrize(("fields", "field", "text"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_named_with_what_is_allowed(
    fields: dict[str, Any], field: str, text: str
) -> None:
    """A user who mistypes a value would have to guess which one, and what it may be."""
    found = violations(**fields)
    assert list(found) == [f"spec.{field}"]
    assert text in found[f"spec.{field}"]


@pytest.mark.parametrize(
    "fields",
    [
        {"epochs": 1},
        {"epochs": 1000},
        {"learning_rate": 1e-300},
        {"learning_rate": 1e300},
        {"batch_size": 1},
        {"batch_size": 2**63 - 1},
        {"l2": 0.0},
        {"seed": 0},
        {"seed": 2**63 - 1},
        {"report_every": 1},
        {"report_every": 2**63 - 1},
    ],
)
def test_the_ends_of_each_range_are_allowed(fields: dict[str, Any]) -> None:
    """A user at the documented limit would be refused."""
    (name, value) = next(iter(fields.items()))
    expected = 4 if fields == {"batch_size": 2**63 - 1} else value
    assert getattr(resolve_all(**fields, dtype="float64"), name) == expected


def test_all_that_is_wrong_is_told_at_once() -> None:
    """A user with three mistakes would have to try three times."""
    wrong = violations("manuel", epochs=0, learning_rate=-1, batch_size=0, l2=-1, seed=-1, report_every=0)
    assert set(wrong) == {
        f"spec.{name}"
        for name in ("trainer", "epochs", "learning_rate", "batch_size", "l2", "seed", "report_every")
    }
    two = violations(initial_parameters={"w": np.zeros(())}, predict_rows=np.zeros((1, 3)))
    assert set(two) == {"spec.initial_parameters[0].name", "spec.predict_rows.shape"}


def test_the_reference_experiment_of_each_trainer() -> None:
    """A user who asks for nothing but a trainer would not see the published curve."""
    specs = {trainer: resolve_all(trainer) for trainer in TRAINERS}
    chosen = {trainer: (s.epochs, s.reduction, s.intercept) for trainer, s in specs.items()}
    assert chosen == {
        "manual": (20, "sum", False),
        "autograd": (100, "mean", False),
        "module": (100, "mean", True),
    }
    for spec in specs.values():
        assert (spec.learning_rate, spec.batch_size, spec.dtype) == (0.01, 4, "float32")
        assert spec.data is reference.SUMMARY
        assert spec.predict_rows is not None
        assert spec.predict_rows.tolist() == [[5]]


@pytest.mark.parametrize("trainer", TRAINERS)
def test_with_data_every_trainer_has_the_same_defaults(trainer: str) -> None:
    """A user who switches the trainer would compare different experiments."""
    spec = resolve_all(trainer, data=table(), device="cpu")
    assert (spec.epochs, spec.learning_rate, spec.batch_size, spec.shuffle) == (100, 0.01, 6, False)
    assert (spec.reduction, spec.intercept, spec.l2, spec.dtype) == ("mean", True, 0.0, "float64")
    assert (spec.seed, spec.standardize, spec.report_every) == (0, False, 1)
    assert spec.predict_rows is None
    assert spec.initial_parameters == {}
    assert (spec.data.feature_names, spec.data.target_names) == (("x1", "x2"), ("y1",))


def test_what_is_asked_for_goes_over_the_reference_experiment() -> None:
    """A user could not vary the reference experiment."""
    rows = np.zeros((0, 1))
    spec = resolve_all("manual", epochs=7, reduction="mean", intercept=True, predict_rows=rows)
    assert (spec.epochs, spec.reduction, spec.intercept, spec.predict_rows) == (7, "mean", True, None)


@pytest.mark.parametrize(
    ("batch_size", "shuffle", "expected"),
    [(None, None, (6, False)), (2, None, (2, True)), (2, False, (2, False)), (9, None, (6, False))],
)
def test_mini_batches_are_shuffled_unless_told_otherwise(
    batch_size: int | None, shuffle: bool | None, expected: tuple[int, bool]
) -> None:
    """A user's mini-batches would follow the order of the file."""
    spec = resolve_all(data=table(), batch_size=batch_size, shuffle=shuffle)
    assert (spec.batch_size, spec.shuffle) == expected


def test_the_dtype_is_that_of_the_features() -> None:
    """A user's float64 data would lose half their digits."""
    mixed = InlineData(table(dtype="float32").features, table().targets)
    assert resolve_all(data=table()).dtype == "float64"
    assert resolve_all(data=mixed).dtype == "float32"
    assert resolve_all(data=table(), dtype="float32").dtype == "float32"


@pytest.mark.parametrize(
    ("asked", "device"),
    [(None, "cuda:0"), ("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")],
)
def test_the_device_is_the_one_asked_for(asked: str | None, device: str) -> None:
    """A user would train somewhere else than asked."""
    assert resolve_all(device=asked).device == device


@pytest.mark.parametrize("device", ["cuda:2", "mps", "gpu", "CPU"])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(device: str) -> None:
    """A user would silently train on another device, or not learn which there are."""
    with pytest.raises(DeviceNotAvailable, match="this server has cuda:0, cuda:1, cpu") as raised:
        resolve_all(device=device)
    assert repr(device) in str(raised.value)


def test_mps_computes_in_float32() -> None:
    """A user on Apple's GPU would get an error from deep inside torch."""
    on_mps = SpecRequest("manual", data=table())
    assert resolve(on_mps, ("mps", "cpu"), TRAINERS, LIMITS).dtype == "float32"
    with pytest.raises(InvalidSpec, match=r"spec\.dtype: is float64, which mps cannot compute"):
        resolve(SpecRequest("manual", dtype="float64"), ("mps", "cpu"), TRAINERS, LIMITS)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"learning_rate": 1e39}, "learning_rate: is 1e+39, too large for float32; use a smaller one"),
        ({"l2": 1e39}, "l2: is 1e+39, too large for float32"),
        ({"l2": 1e30, "learning_rate": 1e30}, "l2: times learning_rate is 1e+60, too large for float32"),
    ],
)
def test_steps_too_large_for_the_dtype(fields: dict[str, float], text: str) -> None:
    """A user would read that the trainer failed, instead of which value to change."""
    with pytest.raises(InvalidSpec) as raised:
        resolve_all(**fields)
    assert str(raised.value).startswith(f"spec.{text}")


@given(requests(wild=True))
def test_every_request_resolves_into_ranges_or_is_refused(request: SpecRequest) -> None:
    """A client's request would end in a fault of the server, or train something out of range."""
    try:
        spec = resolve(request, DEVICES, TRAINERS, LIMITS)
    except (InvalidSpec, DeviceNotAvailable):
        return
    _check_ranges(spec, LIMITS)
    data = request.data or reference.DATA
    assert len(data.features) == len(data.targets) == spec.data.rows


@given(requests(wild=False))
def test_sensible_requests_are_not_refused(request: SpecRequest) -> None:
    """A user would be refused although all is in range."""
    spec = resolve(request, DEVICES, TRAINERS, LIMITS)
    _check_ranges(spec, LIMITS)
    for name in ("epochs", "learning_rate", "shuffle", "reduction", "intercept", "l2", "seed", "standardize"):
        asked = getattr(request, name)
        assert asked is None or getattr(spec, name) == asked, name


def _check_ranges(spec: Spec, limits: Limits) -> None:
    rows, features, targets = spec.data.rows, len(spec.data.feature_names), len(spec.data.target_names)
    assert rows >= 1
    assert features >= 1
    assert targets >= 1
    assert spec.trainer in TRAINERS
    assert spec.device in DEVICES
    assert 1 <= spec.epochs <= limits.max_epochs
    assert 0 < spec.learning_rate < math.inf
    assert 0 <= spec.l2 < math.inf
    assert 1 <= spec.batch_size <= rows
    assert 0 <= spec.seed < 2**63
    assert spec.report_every >= 1
    assert spec.dtype in ("float32", "float64")
    shapes = {"weight": (targets, features), "bias": (targets,)}
    for name, value in spec.initial_parameters.items():
        assert value.shape == shapes[name]
        assert name != "bias" or spec.intercept
        assert np.isfinite(value.astype(spec.dtype)).all()
    if spec.predict_rows is not None:
        assert spec.predict_rows.ndim == 2
        assert spec.predict_rows.shape[1] == features
        assert spec.predict_rows.size
        assert np.isfinite(spec.predict_rows.astype(spec.dtype)).all()
