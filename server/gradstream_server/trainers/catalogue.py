"""The parts that a training is put together from, by name: what each does, its options, and who has it.

This is the one place that lists them, installed modules too. It imports neither torch nor any trainer: the
main process checks specs by it, and tells clients what there is.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from gradstream_server.trainers import plugins
from gradstream_server.trainers.options import (
    Schema,
    choice,
    flag,
    list_of,
    number,
    or_nothing,
    whole,
)
from gradstream_server.trainers.part import MODULE, Choice, Kind, Part
from gradstream_server.trainers.plugins import Plugins

_WEIGHT_DECAY = number("L2 penalty of all parameters, added to the gradient", at_least=0, default=0)
_EPS = number("Added to a denominator, so that it is not 0", at_least=0, default=1e-8)
_BETAS = list_of(
    number("", at_least=0, below=1), "Decay of the means of gradient and square", [0.9, 0.999], length=2
)
_DECOUPLED = flag("Whether weight_decay shrinks the parameters themselves, as in AdamW", False)
_GAMMA = number("Factor of each step down", above=0, at_most=1, default=0.1)
_ETA_MIN = number("The lowest learning rate", at_least=0, default=0)

_CLASS_WEIGHTS = or_nothing(
    list_of(number("", above=0), "What the loss of a row is multiplied by, for each class in order; null: 1"),
    None,
)

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "silu", "elu", "leaky_relu")

MODELS: Mapping[str, Part] = {
    "linear": Part("A weighted sum of the features", losses=("mse", "l1", "huber")),
    "logistic": Part(
        "The probability of the second of two classes: the logistic function of a weighted sum",
        losses=("log_loss",),
    ),
    "softmax": Part(
        "The probability of each of several classes: the softmax of weighted sums",
        trainers=MODULE,
        losses=("cross_entropy",),
    ),
    "mlp": Part(
        "A multilayer perceptron: hidden layers, and a loss of numbers or of classes",
        {
            "hidden": list_of(
                whole("", 1, 65_536), "Sizes of the hidden layers, from the first to the last", most=100
            ),
            "activation": choice("What follows each hidden layer", *ACTIVATIONS),
            "dropout": number(
                "Part of each hidden layer's numbers that is left out while training",
                at_least=0,
                below=1,
                default=0,
            ),
            "normalization": choice(
                "Whether each row of a hidden layer is brought to mean 0 and variance 1", "none", "layer"
            ),
        },
        MODULE,
        losses=("mse", "l1", "huber", "log_loss", "cross_entropy"),
    ),
}

_GAIN = number("Factor of all weights", above=0, default=1)
_NONLINEARITY = choice(
    "What follows, which decides the factor", "relu", "leaky_relu", "tanh", "sigmoid", "linear"
)
INITIALIZATIONS = {
    "default": Part("The trainer's own: 0 for manual and autograd, torch's seeded initialization for module"),
    "xavier_uniform": Part("Weights by Glorot and Bengio, 2010, uniform", {"gain": _GAIN}, MODULE),
    "xavier_normal": Part("Weights by Glorot and Bengio, 2010, normal", {"gain": _GAIN}, MODULE),
    "kaiming_uniform": Part("Weights by He et al., 2015, uniform", {"nonlinearity": _NONLINEARITY}, MODULE),
    "kaiming_normal": Part("Weights by He et al., 2015, normal", {"nonlinearity": _NONLINEARITY}, MODULE),
    "orthogonal": Part("Orthogonal matrices of weights (Saxe et al., 2013)", {"gain": _GAIN}, MODULE),
    "normal": Part(
        "Normally distributed weights",
        {
            "mean": number("Their mean", default=0),
            "std": number("Their standard deviation", above=0, default=1),
        },
        MODULE,
    ),
    "zeros": Part("Weights of 0", trainers=MODULE),
}

LOSSES = {
    "mse": Part("Mean squared error"),
    "l1": Part("Mean absolute error", trainers=MODULE),
    "huber": Part(
        "Squared error where it is small, absolute error where it is large, which outliers cannot dominate",
        {"delta": number("Where the one becomes the other", above=0, default=1)},
        MODULE,
    ),
    "log_loss": Part(
        "Of two classes: minus the logarithm of the probability that the row's own class was given",
        {"class_weights": _CLASS_WEIGHTS},
    ),
    "cross_entropy": Part("The same of several classes", {"class_weights": _CLASS_WEIGHTS}, MODULE),
}
CLASSIFYING = ("log_loss", "cross_entropy")
"""Losses of classes, whose targets are numbers of classes: 0 or 1, or from 0 to k - 1."""

OPTIMIZERS = {
    "sgd": Part(
        "Gradient descent, with momentum if asked for",
        {
            "momentum": number("Part of the last step that is kept", at_least=0, below=1, default=0),
            "dampening": number(
                "Part of the gradient that momentum leaves out", at_least=0, at_most=1, default=0
            ),
            "nesterov": flag("Whether momentum looks ahead; it needs momentum, and no dampening", False),
            "weight_decay": _WEIGHT_DECAY,
        },
        rules={
            "if": {"properties": {"nesterov": {"const": True}}, "required": ["nesterov"]},
            "then": {
                "properties": {"momentum": {"exclusiveMinimum": 0}, "dampening": {"maximum": 0}},
                "required": ["momentum"],
            },
        },
    ),
    "adam": Part(
        "Steps scaled by running means of gradient and square (Kingma and Ba, 2014)",
        {
            "betas": _BETAS,
            "eps": _EPS,
            "weight_decay": _WEIGHT_DECAY,
            "amsgrad": flag("Whether the largest mean of squares counts", False),
        },
        MODULE,
        learning_rate=0.001,
    ),
    "adamw": Part(
        "Adam with weight decay apart from the gradient (Loshchilov and Hutter, 2017)",
        {
            "betas": _BETAS,
            "eps": _EPS,
            "weight_decay": number(
                "Part of each parameter that a step of length 1 takes off", at_least=0, default=0.01
            ),
            "amsgrad": flag("Whether the largest mean of squares counts", False),
        },
        MODULE,
        learning_rate=0.001,
    ),
    "rmsprop": Part(
        "Steps divided by a running mean of gradient lengths",
        {
            "alpha": number("Decay of the mean of squares", at_least=0, below=1, default=0.99),
            "eps": _EPS,
            "weight_decay": _WEIGHT_DECAY,
            "momentum": number("Part of the last step that is kept", at_least=0, below=1, default=0),
            "centered": flag("Whether the mean gradient is taken off first", False),
        },
        MODULE,
    ),
    "adagrad": Part(
        "Steps divided by the length of all gradients so far",
        {
            "lr_decay": number("How fast the learning rate decays", at_least=0, default=0),
            "weight_decay": _WEIGHT_DECAY,
            "initial_accumulator_value": number("Where the sum of squares begins", at_least=0, default=0),
            "eps": number("Added to a denominator, so that it is not 0", at_least=0, default=1e-10),
        },
        MODULE,
    ),
    "nadam": Part(
        "Adam with Nesterov momentum",
        {
            "betas": _BETAS,
            "eps": _EPS,
            "weight_decay": _WEIGHT_DECAY,
            "momentum_decay": number("How fast momentum settles", at_least=0, default=0.004),
            "decoupled_weight_decay": _DECOUPLED,
        },
        MODULE,
        learning_rate=0.002,
    ),
    "adadelta": Part(
        "Steps as long as those before, relative to the gradients",
        {
            "rho": number("Decay of the means of squares", at_least=0, at_most=1, default=0.9),
            "eps": number("Added to a denominator, so that it is not 0", at_least=0, default=1e-6),
            "weight_decay": _WEIGHT_DECAY,
        },
        MODULE,
        learning_rate=1.0,
    ),
    "adamax": Part(
        "Adam with the largest gradient in place of the mean of squares",
        {"betas": _BETAS, "eps": _EPS, "weight_decay": _WEIGHT_DECAY},
        MODULE,
        learning_rate=0.002,
    ),
    "radam": Part(
        "Adam that warms up by itself",
        {
            "betas": _BETAS,
            "eps": _EPS,
            "weight_decay": _WEIGHT_DECAY,
            "decoupled_weight_decay": _DECOUPLED,
        },
        MODULE,
        learning_rate=0.001,
    ),
    "lbfgs": Part(
        "A quasi-Newton method, at its best on a full batch; an update evaluates the loss several times",
        {
            "max_iter": whole("Iterations of an update", 1, 1000, default=20),
            "max_eval": or_nothing(
                whole("Evaluations of an update; null: 1.25 times max_iter", 1, 10_000), None
            ),
            "tolerance_grad": number("An update ends at so small a gradient", at_least=0, default=1e-7),
            "tolerance_change": number("An update ends at so small a change", at_least=0, default=1e-9),
            "history_size": whole("Steps that are remembered", 1, 1000, default=100),
            "line_search_fn": or_nothing(choice("How the length of a step is found", "strong_wolfe"), None),
        },
        MODULE,
        learning_rate=1.0,
    ),
}

SCHEDULES = {
    "none": Part("The learning rate stays as it is"),
    "step": Part(
        "Down by a factor every few epochs",
        {"step_size": whole("Epochs between two steps down", 1), "gamma": _GAMMA},
    ),
    "multistep": Part(
        "Down by a factor after certain epochs",
        {
            "milestones": list_of(whole("", 1), "The epochs after which it goes down, ascending"),
            "gamma": _GAMMA,
        },
    ),
    "exponential": Part("Down by a factor every epoch", {"gamma": number("The factor", above=0, at_most=1)}),
    "linear": Part(
        "From one factor of the learning rate to another in a straight line",
        {
            "start_factor": number("The factor of the first epoch", above=0, at_most=1, default=1 / 3),
            "end_factor": number("The factor that stays in the end", at_least=0, at_most=1, default=1),
            "total_iters": whole("Epochs until then", 1, default=5),
        },
    ),
    "polynomial": Part(
        "Down to 0 along a power of the epochs that are left",
        {
            "total_iters": whole("Epochs until 0; default: all", 1),
            "power": number("The power", at_least=0, default=1),
        },
        epochs="total_iters",
    ),
    "cosine": Part(
        "Down along half a cosine",
        {"T_max": whole("Epochs until the lowest; default: all", 1), "eta_min": _ETA_MIN},
        epochs="T_max",
    ),
    "cosine_warm_restarts": Part(
        "Down along half a cosine, again and again",
        {
            "T_0": whole("Epochs until the first restart", 1),
            "T_mult": whole("Each stretch is so many times as long as the last", 1, 1000, default=1),
            "eta_min": _ETA_MIN,
        },
    ),
    "one_cycle": Part(
        "Up to the learning rate and down to almost 0, once (Smith and Topin, 2017)",
        {
            "pct_start": number("Part of the epochs that it goes up", above=0, below=1, default=0.3),
            "anneal_strategy": choice("The shape of the way", "cos", "linear"),
            "div_factor": number("It begins with the learning rate divided by this", above=0, default=25),
            "final_div_factor": number("It ends with its beginning divided by this", above=0, default=1e4),
        },
    ),
    "reduce_on_plateau": Part(
        "Down by a factor when the loss has stopped falling",
        {
            "factor": number("The factor", above=0, below=1, default=0.1),
            "patience": whole("Epochs without a better loss that are put up with", 0, default=10),
            "threshold": number("How much better counts", at_least=0, default=1e-4),
            "threshold_mode": choice("Whether that is relative to the best loss or absolute", "rel", "abs"),
            "cooldown": whole("Epochs after a step down in which nothing is counted", 0, default=0),
            "min_lr": number("The lowest learning rate", at_least=0, default=0),
            "eps": number("A step down of at most this is left out", at_least=0, default=1e-8),
        },
    ),
}

CLIPPINGS = {
    "none": Part("Gradients are left as they are"),
    "norm": Part(
        "A gradient longer than a bound is scaled down to it, all parameters together",
        {"max_norm": number("The bound of the Euclidean length", above=0, default=1)},
    ),
    "value": Part(
        "Each number of a gradient is brought within bounds",
        {"max_value": number("The bound of its absolute value", above=0, default=1)},
    ),
}

MIXED_PRECISIONS = {
    "none": Part("All is computed in the training dtype"),
    "bfloat16": Part(
        "The forward pass in bfloat16, with the range of float32 and 8 bits of it", trainers=MODULE
    ),
    "float16": Part(
        "The forward pass in float16, with 11 bits and a small range, and gradients scaled to fit into it",
        {
            "init_scale": number(
                "What the loss is multiplied by at first", above=0, at_most=2.0**100, default=65536
            ),
            "growth_factor": number("What the scale grows by", above=1, default=2),
            "backoff_factor": number(
                "What the scale is multiplied by when a gradient was not finite",
                above=0,
                below=1,
                default=0.5,
            ),
            "growth_interval": whole(
                "Updates with finite gradients until it grows", 1, 2**31 - 1, default=2000
            ),
        },
        MODULE,
    ),
}


@cache
def installed() -> Plugins:
    """The models that packages have brought along. What they declare is imported at the first call."""
    return plugins.find(MODELS, LOSSES)


@cache
def parts() -> Mapping[Kind, Mapping[str, Part]]:
    """All there are. The first of each kind is the default; of losses the first of the model."""
    return {
        "model": {**MODELS, **installed().models},
        "loss": LOSSES,
        "initialization": INITIALIZATIONS,
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
        "clipping": CLIPPINGS,
        "mixed_precision": MIXED_PRECISIONS,
    }


def is_plugin(model: Choice) -> bool:
    """Whether a model is an installed module, of which only workers know more than it declares."""
    return model.name not in MODELS


@cache
def default(kind: Kind) -> Choice:
    """What a part is where nothing is asked for, all options given."""
    name = next(iter(parts()[kind]))
    return complete(kind, Choice(name))


def complete(kind: Kind, chosen: Choice, epochs: int = 1) -> Choice:
    """The same with every option given, and each number of the type that its schema tells.

    The options have to be valid; JSON, and so the contract, does not tell 1 from 1.0. A model that is not
    installed any more stays as it is.
    """
    part = parts()[kind].get(chosen.name)
    if part is None:
        return chosen
    options = dict(chosen.options)
    for name, schema in part.options.items():
        given = chosen.options.get(name, epochs if name == part.epochs else schema.get("default"))
        options[name] = _typed(given, schema)
    return Choice(chosen.name, options)


def _typed(value: Any, schema: Schema) -> Any:
    kinds = schema.get("type", ())
    if isinstance(value, list):
        return [_typed(each, schema.get("items", {})) for each in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value) if "integer" in kinds and value == int(value) else float(value)
    return value
