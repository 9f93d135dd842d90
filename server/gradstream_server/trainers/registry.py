"""The trainers there are. One more costs a file and a line here.

The names and descriptions can be had without importing any trainer, and so without torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from gradstream_server.trainers.problem import Problem, Trainer


@dataclass(frozen=True)
class Entry:
    """A trainer by name."""

    target: str
    """Where the class is: "module:attribute"."""
    description: str
    """One line for people who choose."""


TRAINERS = {
    "manual": Entry(
        "gradstream_server.trainers.manual:ManualTrainer",
        "Gradient derived by hand, plain array arithmetic",
    ),
    "autograd": Entry(
        "gradstream_server.trainers.autograd:AutogradTrainer",
        "Gradient by automatic differentiation of torch tensors, update written by hand",
    ),
    "module": Entry(
        "gradstream_server.trainers.module:ModuleTrainer",
        "torch.nn.Module, trained with the losses and optimizers of torch",
    ),
}


def load(name: str) -> Callable[[Problem], Trainer]:
    """The class of a trainer, imported now.

    Raises:
        KeyError: there is no trainer of this name.
    """
    module, _, attribute = TRAINERS[name].target.partition(":")
    return cast(Callable[[Problem], Trainer], getattr(import_module(module), attribute))
