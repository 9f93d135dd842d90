"""The optimizers of torch.optim, and what they keep from update to update.

`l2` adds to the gradient of the weights alone. Where an optimizer adds its own weight decay to the gradient,
that is where it goes, for it costs nothing there.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradstream_server.trainers.devices import to_numpy, to_tensor
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.problem import State

_CLASSES: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
    "nadam": torch.optim.NAdam,
    "adadelta": torch.optim.Adadelta,
    "adamax": torch.optim.Adamax,
    "radam": torch.optim.RAdam,
    "lbfgs": torch.optim.LBFGS,
}
_FUSED = ("adam", "adamw", "adagrad")
"""One kernel for a step, a third of the time of one call after the other. Plain SGD is one call as it is."""
_LISTS = ("old_dirs", "old_stps", "ro")
"""What LBFGS keeps of each of its last steps."""
_NUMBERS = ("func_evals", "n_iter", "t", "H_diag", "prev_loss")


def adds_decay(chosen: Choice) -> bool:
    """Whether an optimizer has its weight decay added to the gradient, and may have `l2` added there too."""
    return chosen.name not in ("adamw", "lbfgs") and not chosen.options.get("decoupled_weight_decay")


def build(
    chosen: Choice, weights: Sequence[Tensor], others: Sequence[Tensor], learning_rate: float, l2: float
) -> torch.optim.Optimizer:
    """The optimizer of parameters: weights, which `l2` is for, and others."""
    options = dict(chosen.options)
    if "betas" in options:
        options["betas"] = tuple(options["betas"])
    kind = _CLASSES[chosen.name]
    if chosen.name == "lbfgs":
        return kind([*weights, *others], lr=learning_rate, **options)
    if chosen.name in _FUSED:
        options["fused"] = [*weights, *others][0].device.type != "mps"
    else:
        # foreach batches the updates of many parameters: of two it only costs time.
        options["foreach"] = False
    decay = options.pop("weight_decay")
    own = l2 if adds_decay(chosen) else 0.0
    if not own:
        return kind([*weights, *others], lr=learning_rate, weight_decay=decay, **options)
    groups = [{"params": list(weights), "weight_decay": decay + own}]
    if others:
        groups.append({"params": list(others), "weight_decay": decay})
    return kind(groups, lr=learning_rate, **options)


def state_of(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What an optimizer keeps, flat: "optimizer.0.exp_avg" is that of the first parameter."""
    kept = optimizer.state_dict()["state"]
    flat = {f"optimizer.{i}.{key}": value for i in kept for key, value in kept[i].items()}
    if not isinstance(optimizer, torch.optim.LBFGS):
        return flat
    state: dict[str, Any] = {}
    for name, value in flat.items():
        key = name.rpartition(".")[2]
        if key in _LISTS:
            state |= {name: torch.stack(value)} if value else {}
        elif key in _NUMBERS or isinstance(value, Tensor):
            state |= {} if value is None else {name: np.asarray(to_numpy(value))}
    return state


def like(optimizer: torch.optim.Optimizer, state: State, partly: bool) -> dict[str, NDArray[Any]]:
    """Arrays of the names, shapes and dtypes that the optimizer's part of a state has to have.

    Before its first step an optimizer does not know what it will keep. The state says so: the same of each
    parameter, in its shape unless it is a number, such as Adam's count of steps. With `partly` it may
    be nothing of a parameter, which has had no gradient yet.
    """
    parameters = [to_numpy(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    keys = sorted({name.split(".", 2)[-1] for name in state if name.startswith("optimizer.")})
    if isinstance(optimizer, torch.optim.LBFGS):
        return _like_lbfgs(keys, state, parameters)
    known = {name.split(".")[1] for name in state if name.startswith("optimizer.")}
    stepped = [i for i in range(len(parameters)) if not partly or str(i) in known]
    places = {f"optimizer.{i}.{key}": parameters[i] for i in stepped for key in keys}
    return places | {name: state[name] for name in places if name in state and state[name].ndim == 0}


def load(optimizer: torch.optim.Optimizer, state: State, device: str) -> None:
    """Let an optimizer keep what `state_of` has told of another one; of the shapes of `like`."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    fused = optimizer.param_groups[0].get("fused")
    kept: dict[int, dict[str, Any]] = {}
    for name, array in state.items():
        if name.startswith("optimizer."):
            _, i, key = name.split(".", 2)
            # Counts of steps are read on the host, unless one kernel does all.
            where = device if array.ndim or fused else "cpu"
            kept.setdefault(int(i), {})[key] = to_tensor(array, where)
    # Not by load_state_dict(), which would make everything of the parameters' dtype.
    for index, own in kept.items():
        if isinstance(optimizer, torch.optim.LBFGS):
            lists: dict[str, Any] = {key: [] for key in _LISTS} if "n_iter" in own else {}
            optimizer.state[parameters[index]] = lists | {k: _of_lbfgs(k, value) for k, value in own.items()}
        else:
            optimizer.state[parameters[index]] = own


def _like_lbfgs(
    keys: Sequence[str], state: State, parameters: Sequence[NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """LBFGS keeps vectors of all parameters together, and as many of them as it has made steps."""
    size, dtype = sum(array.size for array in parameters), parameters[0].dtype
    steps = len(state["optimizer.0.ro"]) if "optimizer.0.ro" in state else 0
    shapes: Mapping[str, tuple[int, ...]] = {
        "d": (size,),
        "prev_flat_grad": (size,),
        "old_dirs": (steps, size),
        "old_stps": (steps, size),
        "ro": (steps,),
    }
    found = {f"optimizer.0.{key}": np.empty(shapes[key], dtype) for key in keys if key in shapes}
    numbers = {f"optimizer.0.{key}" for key in keys if key in _NUMBERS}
    return found | {name: state[name] for name in numbers if name in state and state[name].ndim == 0}


def _of_lbfgs(key: str, value: Tensor) -> Any:
    if key in _LISTS:
        return list(value.unbind())
    return value.item() if key in _NUMBERS else value
