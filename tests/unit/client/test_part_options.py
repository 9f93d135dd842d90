"""Parts on the command line: what is typed is what is asked for."""

from typing import Any

import click
import pytest

from gradstream.arguments import argument_of_field
from gradstream.cli.request import _add_part_options
from gradstream.cli.values import part_options, sizes

COMMAND = click.Context(click.Command("train"))
OPTION = click.Option(["--set"])


def read(*texts: str) -> dict[str, dict[str, Any]]:
    return part_options(COMMAND, OPTION, texts)


def test_values_are_json_or_lists_of_it_or_text() -> None:
    """A user would have to quote for the shell what is plain to see."""
    found = read(
        "optimizer.betas=0.9,0.99",
        "optimizer.amsgrad=true",
        "model.activation=tanh",
        "loss.class_weights=[1, 2]",
    )
    assert found == {
        "optimizer": {"betas": [0.9, 0.99], "amsgrad": True},
        "model": {"activation": "tanh"},
        "loss": {"class_weights": [1, 2]},
    }


@pytest.mark.parametrize("text", ["optimizer", "optimizer=1", "optimizer.momentum", ".momentum=1"])
def test_what_is_no_option_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no option: give PART"):
        read(text)
    with pytest.raises(click.BadParameter, match="is given twice"):
        read("optimizer.momentum=1", "optimizer.momentum=2")


def test_options_go_to_their_parts() -> None:
    """They would be sent to nobody."""
    options: Any = {"optimizer": "adam", "part_options": read("optimizer.eps=1e-6"), "hidden": [8, 4]}
    _add_part_options(options)
    assert options == {"optimizer": ("adam", {"eps": 1e-6}), "model": ("mlp", {"hidden": [8, 4]})}
    plain: Any = {"optimizer": None, "part_options": {}, "hidden": None}
    _add_part_options(plain)
    assert plain == {"optimizer": None}
    with pytest.raises(click.UsageError, match="name the schedule too, with --schedule"):
        _add_part_options({"schedule": None, "part_options": read("schedule.gamma=1")})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(click.UsageError, match="colour is not there; there are model, loss"):
        _add_part_options({"part_options": read("colour.red=1")})  # type: ignore[typeddict-unknown-key]


def test_sizes() -> None:
    assert sizes(COMMAND, OPTION, "64,32") == [64, 32]
    assert sizes(COMMAND, OPTION, None) is None
    with pytest.raises(click.BadParameter, match="is no list of sizes"):
        sizes(COMMAND, OPTION, "64;32")


def test_a_field_of_a_part_is_named_with_its_option() -> None:
    """A user of several options would not know which one is wrong."""
    assert argument_of_field("spec.optimizer.options.betas[0]") == "optimizer.betas[0]"
    assert argument_of_field("spec.optimizer.name") == "optimizer"
