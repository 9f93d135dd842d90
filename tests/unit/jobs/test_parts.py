"""Parts by name: a user gets the options that were asked for, or is told what there is."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.domain import resolved, table

from gradstream_server.jobs.errors import InvalidSpec
from gradstream_server.trainers.catalogue import PARTS, Choice, Kind, default
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


def test_every_option_gets_its_default_and_type() -> None:
    """A user could not see in the resolved spec what was trained."""
    parts: dict[Kind, Any] = {"optimizer": Choice("adam", {"eps": 1.0}), "schedule": Choice("cosine")}
    spec = resolved("module", data=table(), epochs=7, parts=parts)
    assert spec.parts == {
        "optimizer": Choice(
            "adam", {"betas": [0.9, 0.999], "eps": 1.0, "weight_decay": 0.0, "amsgrad": False}
        ),
        "schedule": Choice("cosine", {"T_max": 7, "eta_min": 0.0}),
        "clipping": Choice("none"),
    }
    assert spec.learning_rate == 0.001
    again = resolved("module", data=table(), epochs=7, parts=spec.parts)
    assert again.parts == spec.parts
    step = resolved("module", data=table(), parts={"schedule": Choice("step", {"step_size": 5.0})})
    assert type(step.parts["schedule"].options["step_size"]) is int


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in PARTS for name in PARTS[kind]])
def test_the_catalogue_is_sound(kind: Kind, name: str) -> None:
    """A client that completes or checks by the schemas would go wrong."""
    part = PARTS[kind][name]
    Draft202012Validator.check_schema(part.schema)
    defaults = {each: schema["default"] for each, schema in part.options.items() if "default" in schema}
    for each, value in defaults.items():
        Draft202012Validator(part.options[each]).validate(value)
    assert set(part.trainers) <= set(TRAINERS)
    assert part.description
    assert not part.description.endswith(".")
    assert set(default(kind).options) == set(PARTS[kind][default(kind).name].options)
