"""What plans train and train with beyond a linear model and plain descent: all that has a state of its own.

No option depends on the number of epochs: what a cancelled job has reached is compared with so many epochs.
"""

from dataclasses import dataclass

from gradstream.spec import SpecOptions

_EVERY_TRAINER = ("manual", "autograd", "module")
_MODULE = ("module",)


@dataclass(frozen=True)
class Updates:
    """A model, and how it becomes better."""

    name: str
    trainers: tuple[str, ...]
    """One of which trains it."""
    epochs: int
    """That take about a second on an idle core, in batches where it takes some."""
    options: SpecOptions
    batches: bool = True
    classes: bool = False
    """Whether its target is a class, 0 or 1."""


UPDATES = (
    Updates(
        "momentum on a plateau",
        _EVERY_TRAINER,
        800,
        {
            "optimizer": ("sgd", {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01}),
            "schedule": ("reduce_on_plateau", {"patience": 3, "factor": 0.7, "cooldown": 2}),
            "clipping": ("norm", {"max_norm": 0.5}),
        },
    ),
    Updates(
        "logistic with momentum",
        _EVERY_TRAINER,
        800,
        {
            "model": "logistic",
            "optimizer": ("sgd", {"momentum": 0.9}),
            "schedule": ("cosine_warm_restarts", {"T_0": 10}),
        },
        classes=True,
    ),
    Updates(
        "adam on the full batch",
        _MODULE,
        1200,
        {"loss": "huber", "optimizer": ("adam", {"amsgrad": True}), "schedule": ("cosine", {"T_max": 50})},
        batches=False,
    ),
    Updates(
        "adamw of a perceptron with dropout",
        _MODULE,
        250,
        {
            "model": ("mlp", {"hidden": [16, 8], "dropout": 0.2, "normalization": "layer"}),
            "optimizer": "adamw",
            "schedule": ("reduce_on_plateau", {"patience": 3}),
            "clipping": ("value", {"max_value": 0.5}),
        },
    ),
    Updates(
        "lbfgs of a perceptron",
        _MODULE,
        60,
        {
            "model": ("mlp", {"hidden": [8], "activation": "tanh"}),
            "optimizer": ("lbfgs", {"line_search_fn": "strong_wolfe", "history_size": 10, "max_iter": 5}),
        },
        batches=False,
    ),
    Updates(
        "softmax of a perceptron by radam",
        _MODULE,
        300,
        {
            "model": ("mlp", {"hidden": [12], "activation": "gelu"}),
            "loss": "cross_entropy",
            "optimizer": "radam",
            "schedule": ("exponential", {"gamma": 0.999}),
        },
        classes=True,
    ),
)
