"""What --vary means, and what it says of what it cannot mean."""

import click
import pytest

from gradstream.cli.sweep import sweep
from gradstream.cli.variation import variations
from gradstream.space import LogUniform, Space, Uniform


def varied(*texts: str) -> Space:
    (option,) = (each for each in sweep.params if each.name == "vary")
    return variations(click.Context(sweep), option, texts)


def test_values_have_the_type_of_their_option() -> None:
    assert varied(
        "learning_rate=0.01,1e-3, 1",
        "--batch-size=64,1e3",
        "shuffle=true,no",
        "trainer=manual,module",
        "gradient-reduction=mean,sum",
        "device=cuda:0,cpu",
        "seed=-1",
        "optimizer=sgd,adam",
    ) == {
        "learning_rate": [0.01, 0.001, 1.0],
        "batch_size": [64, 1000],
        "shuffle": [True, False],
        "trainer": ["manual", "module"],
        "gradient_reduction": ["mean", "sum"],
        "device": ["cuda:0", "cpu"],
        "seed": [-1],
        "optimizer": ["sgd", "adam"],
    }


def test_ranges() -> None:
    assert varied("learning_rate=log:1e-4:1e-1", "l2=uniform:0:1") == {
        "learning_rate": LogUniform(1e-4, 1e-1),
        "l2": Uniform(0, 1),
    }


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["lr=0.1"], "no such option to vary, but trainer, device, epochs"),
        (["predict_rows=1"], "no such option to vary"),
        (["learning_rate"], "give its values"),
        (["learning_rate="], "give its values"),
        (["learning_rate=0.1,"], "'' is no number"),
        (["learning_rate=fast"], "'fast' is no number"),
        (["epochs=2.5"], "'2.5' is no whole number"),
        (["epochs=inf"], "'inf' is no whole number"),
        (["shuffle=maybe"], "neither true nor false"),
        (["dtype=float16"], "'float16' is none of float32, float64"),
        (["trainer=manual,"], "a value is missing"),
        (["l2=uniform:0"], "a range is uniform:LOW:HIGH"),
        (["l2=log:a:b"], "'a' is no number"),
        (["l2=0", "--l2=1"], "l2 is varied twice"),
    ],
)
def test_what_cannot_be_meant(texts: list[str], said: str) -> None:
    with pytest.raises(click.BadParameter, match=said):
        varied(*texts)
