"""Parts by name: a user gets the options that were asked for, or is told what there is."""

from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from tests.domain import resolved, table

from gradstream_server.jobs.errors import InvalidSpec
from gradstream_server.jobs.spec import InlineData
from gradstream_server.trainers.catalogue import default, parts
from gradstream_server.trainers.part import Choice, Kind
from gradstream_server.trainers.registry import TRAINERS


def violations(trainer: str = "module", **parts: Choice) -> dict[str, str]:
    with pytest.raises(InvalidSpec) as raised:
        resolved(trainer, data=table(), parts=parts)
    return {violation.field: violation.description for violation in raised.value.violations}


@pytest.mark.parametrize(
    ("trainer", "kind", "choice", "field", "text"),
    [
        ("module", "optimizer", Choice("adamm"), "optimizer.name", "is 'adamm'; there are sgd, adam"),
        ("module", "optimizer", Choice("Adam"), "optimizer.name", "did you mean 'adam'?"),
        ("module", "optimizer", Choice(""), "optimizer.name", "is missing; there are sgd"),
        (
            "manual",
            "optimizer",
            Choice("adam"),
            "optimizer.name",
            "is 'adam', which the manual trainer does not do; the module trainer does",
        ),
        (
            "module",
            "optimizer",
            Choice("sgd", {"momentun": 0.9}),
            "optimizer.options.momentun",
            "is not there; there are momentum, dampening, nesterov, weight_decay; did you mean 'momentum'?",
        ),
        (
            "manual",
            "optimizer",
            Choice("sgd", {"momentum": 1.0}),
            "optimizer.options.momentum",
            "is 1.0; it has to be a number at least 0 and below 1",
        ),
        (
            "module",
            "optimizer",
            Choice("sgd", {"momentum": "much"}),
            "optimizer.options.momentum",
            'is "much"; it has to be a number at least 0 and below 1',
        ),
        (
            "module",
            "optimizer",
            Choice("sgd", {"momentum": float("inf")}),
            "optimizer.options.momentum",
            "holds a number that is not finite",
        ),
        (
            "module",
            "optimizer",
            Choice("sgd", {"nesterov": True}),
            "optimizer.options.momentum",
            "is missing; it has to be a number at least 0 and below 1",
        ),
        (
            "module",
            "optimizer",
            Choice("sgd", {"nesterov": True, "momentum": 0.5, "dampening": 0.5}),
            "optimizer.options.dampening",
            "is 0.5; it has to be at most 0",
        ),
        (
            "module",
            "optimizer",
            Choice("adam", {"betas": [0.9, 1.5]}),
            "optimizer.options.betas[1]",
            "is 1.5; it has to be a number at least 0 and below 1",
        ),
        (
            "module",
            "optimizer",
            Choice("adam", {"betas": 0.9}),
            "optimizer.options.betas",
            "is 0.9; it has to be a list of 2, each a number at least 0 and below 1",
        ),
        (
            "module",
            "optimizer",
            Choice("lbfgs", {"max_iter": 2.5}),
            "optimizer.options.max_iter",
            "is 2.5; it has to be a whole number at least 1 and at most 1000",
        ),
        (
            "module",
            "optimizer",
            Choice("lbfgs", {"line_search_fn": "wolfe"}),
            "optimizer.options.line_search_fn",
            'is "wolfe"; it has to be one of "strong_wolfe", null',
        ),
        (
            "module",
            "schedule",
            Choice("step"),
            "schedule.options.step_size",
            "is missing; it has to be a whole number at least 1",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_what_does(
    trainer: str, kind: str, choice: Choice, field: str, text: str
) -> None:
    """A user would have to guess which option of which part is wrong, and what it may be."""
    found = violations(trainer, **{kind: choice})
    assert list(found) == [f"spec.{field}"]
    assert text in found[f"spec.{field}"]


def test_all_that_is_wrong_is_told_at_once() -> None:
    """A user with three mistakes would have to try three times."""
    found = violations(
        optimizer=Choice("adam", {"eps": -1, "amsgrad": 1.0, "e": 0}), schedule=Choice("cosin")
    )
    assert sorted(found) == [
        "spec.optimizer.options.amsgrad",
        "spec.optimizer.options.e",
        "spec.optimizer.options.eps",
        "spec.schedule.name",
    ]


def test_lbfgs_clips_nothing() -> None:
    """Its steps would not go down."""
    found = violations(optimizer=Choice("lbfgs"), clipping=Choice("norm"))
    assert list(found) == ["spec.clipping.name"]


def test_mixed_precision_is_of_float32_and_no_lbfgs() -> None:
    """A user would get another precision than was asked for."""
    mixed = {"mixed_precision": Choice("bfloat16")}
    found = violations(**mixed)
    assert found["spec.mixed_precision.name"].startswith(
        "is 'bfloat16', but the training dtype is float64; set"
    )
    assert list(violations(optimizer=Choice("lbfgs"), **mixed)) == ["spec.mixed_precision.name"]
    assert "the module trainer does" in violations("autograd", **mixed)["spec.mixed_precision.name"]
    spec = resolved("module", data=table(), dtype="float32", parts=mixed)
    assert spec.parts["mixed_precision"] == Choice("bfloat16")


def test_every_option_gets_its_default_and_type() -> None:
    """A user could not see in the resolved spec what was trained."""
    parts: dict[Kind, Any] = {"optimizer": Choice("adam", {"eps": 1.0}), "schedule": Choice("cosine")}
    spec = resolved("module", data=table(), epochs=7, parts=parts)
    assert spec.parts == {
        "model": Choice("linear"),
        "loss": Choice("mse"),
        "initialization": Choice("default"),
        "optimizer": Choice(
            "adam", {"betas": [0.9, 0.999], "eps": 1.0, "weight_decay": 0.0, "amsgrad": False}
        ),
        "schedule": Choice("cosine", {"T_max": 7, "eta_min": 0.0}),
        "clipping": Choice("none"),
        "mixed_precision": Choice("none"),
    }
    assert spec.learning_rate == 0.001
    again = resolved("module", data=table(), epochs=7, parts=spec.parts)
    assert again.parts == spec.parts
    step = resolved("module", data=table(), parts={"schedule": Choice("step", {"step_size": 5.0})})
    assert type(step.parts["schedule"].options["step_size"]) is int


def classified(targets: Any, trainer: str = "module", model: str = "logistic", **parts: Choice) -> Any:
    """The spec of a model of classes, of targets by row."""
    y = np.array(targets, dtype=np.float64).reshape(len(targets), -1)
    data = InlineData(np.arange(len(y), dtype=np.float64)[:, None], y)
    return resolved(trainer, data=data, parts={"model": Choice(model), **parts})


def test_classes_are_numbers_of_inline_targets() -> None:
    """A user would not know which class a probability is of."""
    spec = classified([0, 1, 1])
    assert spec.data.classes == ("0", "1")
    assert (spec.outputs, spec.parameter_count, spec.parts["loss"].name) == (1, 2, "log_loss")
    spec = classified([0, 3, 1], model="softmax")
    assert spec.data.classes == ("0", "1", "2", "3")
    assert (spec.outputs, spec.parameter_count, spec.parts["loss"].name) == (4, 8, "cross_entropy")


@pytest.mark.parametrize(
    ("targets", "model", "text"),
    [
        ([1, 1], "logistic", "holds one class only, 1 in every row"),
        ([0, 1, 2], "logistic", "holds 3 classes; log_loss tells two classes apart; the softmax model"),
        ([0, 0.5], "logistic", "holds 0.5 in row 2, which is no number of a class"),
        ([0, -1], "softmax", "holds -1 in row 2"),
        ([0, 1000], "softmax", "holds 1000 in row 2"),
        ([[0, 1], [1, 0]], "logistic", "has 2 targets; log_loss takes one"),
    ],
)
def test_targets_that_are_no_classes_are_refused(targets: list[Any], model: str, text: str) -> None:
    """A model would be trained that tells nothing apart."""
    with pytest.raises(InvalidSpec, match=text):
        classified(targets, model=model)


def test_a_model_has_losses_of_its_own() -> None:
    """Numbers would be taken for classes."""
    with pytest.raises(InvalidSpec, match="'mse', which the logistic model does not have"):
        classified([0, 1], loss=Choice("mse"))
    assert list(violations(loss=Choice("log_loss"))) == ["spec.loss.name"]
    with pytest.raises(InvalidSpec, match="'softmax', which the manual trainer does not do"):
        classified([0, 1], trainer="manual", model="softmax")
    with pytest.raises(InvalidSpec, match="has 3 weights for 2 classes"):
        classified([0, 1], loss=Choice("log_loss", {"class_weights": [1, 2, 3]}))
    with pytest.raises(InvalidSpec, match="holds 9 classes"):
        resolved("manual", parts={"model": Choice("logistic")})


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in parts() for name in parts()[kind]])
def test_the_catalogue_is_sound(kind: Kind, name: str) -> None:
    """A client that completes or checks by the schemas would go wrong."""
    part = parts()[kind][name]
    Draft202012Validator.check_schema(part.schema)
    defaults = {each: schema["default"] for each, schema in part.options.items() if "default" in schema}
    for each, value in defaults.items():
        Draft202012Validator(part.options[each]).validate(value)
    assert set(part.trainers) <= set(TRAINERS)
    assert part.description
    assert not part.description.endswith(".")
    assert set(default(kind).options) == set(parts()[kind][default(kind).name].options)
