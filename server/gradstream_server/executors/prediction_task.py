"""What a process does that asks an installed module: from its bundle and features to what it predicts."""

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gradstream.bundle import Bundle
from gradstream_server.trainers.errors import CannotTrain
from gradstream_server.trainers.module import ModuleTrainer
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.problem import Problem

_logger = logging.getLogger(__name__)
_MOST_SAID = 300


def predict(
    bundle: Bundle, features: NDArray[np.floating[Any]], threads: int
) -> NDArray[np.floating[Any]] | str:
    """Predictions (rows, outputs) for features (rows, features), scaled; or why there are none."""
    torch.set_num_threads(threads)
    try:
        return _trained(bundle).predict(np.ascontiguousarray(features))
    except CannotTrain as error:
        return str(error)
    except Exception as error:
        _logger.exception("an installed module has failed to predict")
        # Who wrote it has to know, and may be who asks: the first line of what it says is enough.
        said = "".join(str(error).splitlines()[:1])[:_MOST_SAID]
        return f"the installed module {bundle.model.name!r} has failed with {type(error).__name__}: {said}"


def _trained(bundle: Bundle) -> ModuleTrainer:
    """A trainer that has nothing to learn, with the module as it was trained."""
    nothing = np.zeros((1, len(bundle.features)), bundle.dtype)
    return ModuleTrainer(
        Problem(
            features=nothing,
            targets=np.zeros((1, len(bundle.targets)), bundle.dtype),
            epochs=1,
            learning_rate=1.0,
            batch_size=1,
            intercept=bundle.intercept,
            model=Choice(bundle.model.name, bundle.model.options),
            loss=Choice(bundle.loss.name, bundle.loss.options),
            classes=len(bundle.classes),
            initial=bundle.parameters,
        )
    )
