"""Specs of installed modules: as much is checked as can be known without building them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.domain import resolved, table
from tests.plugins import DECLARATION, NET, install

from gradstream_server.jobs.errors import InvalidSpec
from gradstream_server.jobs.estimate import estimate
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.spec import InlineData, Spec
from gradstream_server.rpc.parts import part_infos
from gradstream_server.rpc.specs import from_message, to_message
from gradstream_server.trainers import catalogue
from gradstream_server.trainers.part import Choice

MORE = """
options = {
    "sizes": {"type": "array", "items": {"type": "integer", "multipleOf": 2}, "default": [4, 8]},
    "kind": {"type": ["string", "null"], "pattern": "^[ab]$", "default": None},
    "rate": {"type": "number"},
}
"""


@pytest.fixture(autouse=True)
def _installed(folder: Path) -> None:
    install(folder, "own", DECLARATION + NET)
    install(folder, "more", DECLARATION + NET + MORE)
    install(folder, "broken", "import torch")


def spec(name: str = "own", options: Any = (), trainer: str = "module", **fields: Any) -> Spec:
    parts = {"model": Choice(name, dict(options)), **fields.pop("parts", {})}
    return resolved(trainer, **{"data": table()} | fields, parts=parts)


def violations(*args: Any, **fields: Any) -> dict[str, str]:
    with pytest.raises(InvalidSpec) as raised:
        spec(*args, **fields)
    return {violation.field: violation.description for violation in raised.value.violations}


def test_it_is_chosen_as_any_other_model() -> None:
    made = spec(options={"size": 7.0})
    assert made.parts["model"] == Choice("own", {"size": 7})
    assert type(made.parts["model"].options["size"]) is int
    assert (made.parts["loss"], made.parameter_count) == (Choice("mse"), None)
    assert estimate(made).memory_bytes > 0
    assert from_message(to_message(made)) == made
    classes = InlineData(np.zeros((3, 2)), np.array([[0.0], [1], [2]]))
    assert spec(data=classes, parts={"loss": Choice("cross_entropy")}).outputs == 3


def test_clients_are_told_of_it() -> None:
    """Nobody could complete or check a spec."""
    info = {(part.field, part.name): part for part in part_infos()}
    own = info["model", "own"]
    assert (own.package, list(own.losses), list(own.trainers)) == (
        "test-own 1.0",
        ["mse", "log_loss", "cross_entropy"],
        ["module"],
    )
    assert own.options_schema["properties"]["size"]["default"] == 4
    assert ("model", "broken") not in info
    assert info["model", "mlp"].package == ""
    assert list(info["model", "logistic"].losses) == ["log_loss"]


@pytest.mark.parametrize(
    ("how", "field", "text"),
    [
        (
            {"name": "broken"},
            "model.name",
            "is 'broken', which is installed but cannot be used, as the server's log",
        ),
        (
            {"name": "owm"},
            "model.name",
            "there are linear, logistic, softmax, mlp, more, own; did you mean 'own'?",
        ),
        (
            {"trainer": "manual"},
            "model.name",
            "which the manual trainer does not do; the module trainer does",
        ),
        ({"options": {"size": 0}}, "model.options.size", "is 0; it has to be a whole number at least 1"),
        (
            {"parts": {"loss": Choice("l1")}},
            "loss.name",
            "own model does not have: it has mse, log_loss, cross_e",
        ),
        (
            {"intercept": False},
            "intercept",
            "is false, but whether there is a bias is for the installed module",
        ),
        ({"name": "more"}, "model.options.rate", "is missing; it has to be a number"),
        (
            {"name": "more", "options": {"rate": 1, "sizes": [3]}},
            "model.options.sizes[0]",
            "3 is not a multiple of 2",
        ),
        (
            {"name": "more", "options": {"rate": 1, "sizes": "3"}},
            "model.options.sizes",
            'is "3"; it has to be a list of 0 to any number, each a whole number',
        ),
        (
            {"name": "more", "options": {"rate": 1, "kind": "c"}},
            "model.options.kind",
            "'c' does not match '^[ab]$'",
        ),
        (
            {"initial_parameters": {"a": np.full(1, 1e300)}, "dtype": "float32"},
            "initial_parameters[0].value.data",
            "",
        ),
        (
            {"initial_parameters": {"a": np.zeros(Limits().max_parameters + 1)}},
            "initial_parameters",
            "at most 1000",
        ),
    ],
)
def test_what_does_not_fit_is_refused(how: dict[str, Any], field: str, text: str) -> None:
    """A job would be queued that can only fail."""
    found = violations(**how)
    assert list(found) == [f"spec.{field}"]
    assert text in found[f"spec.{field}"]


def test_parameters_to_start_from_are_left_to_the_worker() -> None:
    start = {"first.weight": np.ones((4, 2)), "last.bias": np.array(2.0)}
    assert spec(initial_parameters=start).initial_parameters == start


def test_a_spec_outlives_its_package(folder: Path) -> None:
    """The server could not start while the job of a package that is gone waits, or tell what was trained."""
    message = to_message(spec(options={"size": 7}))
    for path in folder.glob("test_own*/*"):
        path.unlink()
    catalogue.installed.cache_clear()
    catalogue.parts.cache_clear()
    again = from_message(message)
    assert again.parts["model"] == Choice("own", {"size": 7.0})
    assert to_message(again) == message
