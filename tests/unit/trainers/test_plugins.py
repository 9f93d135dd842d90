"""Installed modules: what they declare is read without torch, and what they build trains like any other."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.plugins import DECLARATION, NET, install

from gradstream_server.trainers import plugins
from gradstream_server.trainers.catalogue import LOSSES, MODELS, complete
from gradstream_server.trainers.errors import CannotTrain
from gradstream_server.trainers.module import ModuleTrainer
from gradstream_server.trainers.part import Choice, Part
from gradstream_server.trainers.plugins import Plugins
from gradstream_server.trainers.problem import Problem

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
PROBLEM = Problem(
    X,
    X @ np.array([[1.0], [-2], [0.5]]),
    epochs=6,
    learning_rate=0.05,
    batch_size=20,
    shuffle=True,
    optimizer=complete("optimizer", Choice("adam")),
)


def found() -> Plugins:
    return plugins.find(MODELS, LOSSES)


def problem(folder: Path, body: str, **fields: Any) -> Problem:
    """A problem of a model whose `build` does this."""
    install(folder, "own", DECLARATION + body)
    return replace(PROBLEM, model=Choice("own", {"size": 4}), **fields)


def test_what_it_declares_is_what_there_is_to_know(folder: Path) -> None:
    """Nobody could choose it, or would be told wrong options."""
    install(folder, "own", DECLARATION + NET)
    assert found() == Plugins(
        {
            "own": Part(
                "A model of a test",
                {"size": {"type": "integer", "minimum": 1, "maximum": 100, "default": 4}},
                ("module",),
                losses=("mse", "log_loss", "cross_entropy"),
                package="test-own 1.0",
            )
        }
    )
    assert plugins.versions("own") == {"test-own": "1.0"}


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("own", "import torch.nn", "test_own imports torch when it is imported, but the server has to read"),
        ("own", "from torch import nn", "import torch where build is called"),
        ("own", "1 / 0", "test_own cannot be imported: ZeroDivisionError: division by zero"),
        (
            "own",
            "import nothing_of_the_kind",
            "cannot be imported: ModuleNotFoundError: No module named 'nothing",
        ),
        ("own", "raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("own", "def build(: pass", "cannot be imported: SyntaxError"),
        (
            "own",
            "description = 'One'",
            "does not declare options, losses, build; it needs description, options,",
        ),
        ("own", DECLARATION + "    return 1\ndescription = 3", "description has to be a line of text"),
        (
            "own",
            DECLARATION + "    return 1\ndescription = 'two\\nlines'",
            "description has to be a line of text",
        ),
        ("own", DECLARATION + "    return 1\nbuild = 3", "build has to be a function"),
        (
            "own",
            DECLARATION + "    return 1\nlosses = 'mse'",
            "losses is 'mse'; it has to name some of mse, l1",
        ),
        (
            "own",
            DECLARATION + "    return 1\nlosses = ('mse', 'mae')",
            "it has to name some of mse, l1, huber",
        ),
        ("own", DECLARATION + "    return 1\noptions = 3", "options have to be JSON schemas by name"),
        (
            "own",
            DECLARATION + "    return 1\noptions = {'a': build}",
            "options have to be JSON schemas by name",
        ),
        ("own", DECLARATION + "    return 1\noptions = {'a b': {}}", "'a b' has a name that Python does not"),
        (
            "own",
            DECLARATION + "    return 1\noptions = {'a': {}}",
            "'a' needs a type: one or some of array, bool",
        ),
        (
            "own",
            DECLARATION + "    return 1\noptions = {'a': {'type': 'object'}}",
            "needs a type: one or some of",
        ),
        (
            "own",
            DECLARATION + "    return 1\noptions = {'a': {'type': 'number', 'minimum': '1'}}",
            "is not valid",
        ),
        (
            "own",
            DECLARATION + "    return 1\noptions = {'a': {'type': 'number', 'minimum': 1, 'default': 0}}",
            "is not valid: 0 is less than the minimum of 1",
        ),
        ("mlp", DECLARATION + NET, "'mlp' is the name of a model of gradstream's own; give it another"),
    ],
)
def test_what_cannot_be_used_is_left_out_and_told(folder: Path, name: str, code: str, text: str) -> None:
    """The server would not start, or a job would fail that could have been refused."""
    install(folder, name, code)
    install(folder, "good", DECLARATION + NET)
    there = found()
    assert list(there.models) == ["good"]
    assert text in str(there.unusable[name])
    assert sys.modules["torch"] is torch


def test_a_name_that_two_packages_bring_is_of_neither(folder: Path) -> None:
    """What is trained would depend on the order of installation."""
    install(folder, "own", DECLARATION + NET)
    install(folder, "own", DECLARATION + NET, package="test-other")
    there = found()
    assert not there.models
    assert "both bring a model 'own'; uninstall one of them" in str(there.unusable["own"])


@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize(
    "optimizer", [Choice("sgd"), Choice("adam"), Choice("lbfgs", {"max_iter": 3})], ids=lambda each: each.name
)
def test_it_goes_on_to_the_bit(folder: Path, after: int, optimizer: Choice) -> None:
    """Running means would begin anew after an interruption, and dropout draw something else."""
    given = problem(folder, NET, optimizer=complete("optimizer", optimizer), l2=0.01)
    undisturbed = ModuleTrainer(given)
    losses = list(undisturbed.train())
    first, second = ModuleTrainer(given), ModuleTrainer(given)
    begun = [loss for _, loss in zip(range(after), first.train(), strict=False)]
    first.predict(X)
    second.resume(after, first.state())
    assert begun + list(second.train()) == losses
    assert second.state().keys() == undisturbed.state().keys() >= {"norm.running_mean", "mask", "mean"}
    for name, value in undisturbed.state().items():
        assert second.state()[name].tobytes() == value.tobytes(), name
    np.testing.assert_array_equal(second.predict(X), undisturbed.predict(X))


def test_what_it_has_learnt_is_told_whole(folder: Path) -> None:
    """The model that a job leaves would predict something else for want of a running mean."""
    given = problem(folder, NET)
    trainer = ModuleTrainer(given)
    list(trainer.train())
    told = trainer.parameters()
    assert list(told) == [
        "scale", "unused", "frozen", "mean", "first.weight", "first.bias", "norm.weight", "norm.bias",
        "norm.running_mean", "norm.running_var", "last.weight", "last.bias",
    ]  # fmt: skip
    assert told["mean"].any()
    assert not (told["frozen"] - 1).any()
    start = {name: np.array(value) for name, value in told.items()}
    again = ModuleTrainer(replace(given, initial=start, seed=1))
    np.testing.assert_array_equal(again.predict(X), trainer.predict(X))


def test_a_seed_decides_all_that_is_random(folder: Path) -> None:
    """A user could not repeat a training."""
    given = problem(folder, NET)
    before = torch.random.get_rng_state()
    first, same = (list(ModuleTrainer(given).train()) for _ in range(2))
    assert first == same != list(ModuleTrainer(replace(given, seed=1)).train())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_lazy_module_is_drawn_by_the_seed_too(folder: Path) -> None:
    body = "    return nn.Sequential(nn.LazyLinear(size), nn.Tanh(), nn.LazyLinear(outputs))\n"
    given = problem(folder, body)
    first, same = (ModuleTrainer(given) for _ in range(2))
    assert first.parameters()["0.weight"].shape == (4, 3)
    np.testing.assert_array_equal(first.parameters()["0.weight"], same.parameters()["0.weight"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("precision", ["none", "bfloat16"])
def test_it_trains_in_the_precision_that_is_asked_for(folder: Path, dtype: str, precision: str) -> None:
    if (dtype, precision) == ("float64", "bfloat16"):
        return
    given = problem(folder, NET, mixed_precision=Choice(precision), epochs=40)
    given = replace(given, features=X.astype(dtype), targets=given.targets.astype(dtype))
    trainer = ModuleTrainer(given)
    losses = list(trainer.train())
    assert losses[-1] < losses[0] / 2
    assert {value.dtype.name for value in trainer.parameters().values()} == {dtype}
    assert trainer.predict(given.features).dtype.name == dtype


def test_it_tells_classes_apart(folder: Path) -> None:
    classes = (X[:, :1] > 0).astype(np.float64) + (X[:, :1] > 1)
    loss = complete("loss", Choice("cross_entropy", {"class_weights": [1, 2, 3]}))
    given = problem(folder, NET, targets=classes, classes=3, loss=loss, epochs=60)
    trainer = ModuleTrainer(given)
    list(trainer.train())
    assert trainer.predict(X).shape == (60, 3)
    assert (trainer.predict(X).argmax(axis=1) == classes[:, 0]).mean() > 0.8


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("    return 3\n", "build gives int, and has to give an nn.Module"),
        (
            "    return nn.Linear(features, 2)\n",
            r"forward gives \(2, 2\) for 2 rows, and has to give \(2, 1\), a nu",
        ),
        (
            "    return nn.Sequential(nn.Linear(features, 1), nn.Flatten(0))\n",
            r"forward gives \(2,\) for 2 rows",
        ),
        (
            "    return nn.LSTM(features, outputs)\n",
            "forward gives tuple, and has to give a tensor of decimal",
        ),
        ("    return nn.Softsign()\n", r"forward gives \(2, 3\)"),
        ("    return nn.AvgPool1d(3)\n", "the module has no parameters that could be trained"),
        (
            "    net = nn.Linear(features, outputs)\n"
            "    net.register_buffer('mask', torch.tensor([float('inf')]))\n"
            "    return net\n",
            "mask holds numbers that are not finite; register such a buffer with persistent=False",
        ),
        (
            "    net = nn.Linear(features, outputs)\n    net.optimizer = nn.Linear(1, 1)\n    return net\n",
            "optimizer.weight cannot be told from what training keeps",
        ),
        ("    raise RuntimeError('no such size')\n", "no such size"),
    ],
)
def test_what_it_builds_has_to_be_a_model_of_the_data(folder: Path, body: str, text: str) -> None:
    """Something else would be trained than was meant: a loss of (rows, 2) and (rows, 1) is a number too."""
    with pytest.raises((ValueError, RuntimeError), match=text):
        ModuleTrainer(problem(folder, body))


def test_a_shape_that_is_wrong_while_it_trains_only(folder: Path) -> None:
    body = """
    class Net(nn.Linear):
        def forward(self, x):
            return super().forward(x).T if self.training else super().forward(x)

    return Net(features, outputs)
"""
    with pytest.raises(ValueError, match=r"forward gives \(1, 20\) for 20 rows"):
        list(ModuleTrainer(problem(folder, body)).train())


@pytest.mark.parametrize(
    ("initial", "text"),
    [
        (
            {"weight": np.zeros((1, 3))},
            "initial_parameters has 'weight', which the model has not; it has scale,",
        ),
        (
            {"first.bias": np.zeros(3)},
            r"first.bias is \[3\] in initial_parameters; it has to be \[4\], or \[\]",
        ),
    ],
)
def test_parameters_to_start_from_have_to_fit(folder: Path, initial: dict[str, Any], text: str) -> None:
    with pytest.raises(CannotTrain, match=text):
        ModuleTrainer(problem(folder, NET, initial=initial))


def test_one_number_fills_a_parameter(folder: Path) -> None:
    trainer = ModuleTrainer(problem(folder, NET, initial={"first.weight": np.array(0.5)}))
    np.testing.assert_array_equal(trainer.parameters()["first.weight"], np.full((4, 3), 0.5))


def test_one_that_was_uninstalled_is_told(folder: Path) -> None:
    """A job that waits for its turn would fail for a reason nobody understands."""
    assert folder
    with pytest.raises(CannotTrain, match="the model 'gone' is not installed on the server any more"):
        ModuleTrainer(replace(PROBLEM, model=Choice("gone")))
