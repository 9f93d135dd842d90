"""What of the client's words are the parameters of an estimator."""

from collections.abc import Sequence

from gradstream.arguments import argument_of_field
from gradstream.errors import InvalidArgumentError
from gradstream.spec import Choice

_PARAMETERS = {
    "data": "X",
    "features": "X",
    "feature_names": "X",
    "targets": "y",
    "target_names": "y",
    "seed": "random_state",
    "validation": "validation_fraction",
    "initial_parameters": "warm_start",
    "loss.class_weights": "class_weight",
}
"""By the argument of `Client.train`; the others are called alike."""


def explained(error: InvalidArgumentError) -> str:
    """What was refused, by parameters of the estimator."""
    told = []
    for violation in error.violations:
        argument = argument_of_field(violation.field)
        parameter = _PARAMETERS.get(argument.partition("[")[0], argument)
        told.append(f"{parameter}: {violation.description}")
    return "; ".join(told) or error.message


def named(parameter: str, choice: Choice, allowed: Sequence[str]) -> str:
    """The name of what is chosen; ValueError for one that is not allowed."""
    name = choice[0] if isinstance(choice, tuple | list) and choice else choice
    if name not in allowed:
        raise ValueError(f"{parameter}: is {name!r}; it has to be one of {', '.join(allowed)}")
    return str(name)
