"""What a process does that compares gradients: from a spec and its data to what they are."""

import logging
from collections.abc import Sequence

import numpy as np
import torch

from gradstream_server.executors.faults import fault_of
from gradstream_server.executors.memory_limit import memory_limit
from gradstream_server.executors.messages import Equipment
from gradstream_server.executors.model import Environment, Model
from gradstream_server.executors.worker import data_of
from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.gradient_check import Gradients
from gradstream_server.jobs.spec import InlineData, Spec
from gradstream_server.trainers import gradients
from gradstream_server.trainers.devices import to_numpy

_logger = logging.getLogger(__name__)


def compute(
    spec: Spec, data: InlineData | None, trainers: Sequence[str], equipment: Equipment
) -> Gradients | Fault:
    """The gradients of some trainers, or why not. The process is of no further use."""
    equipment.configure_logging()
    torch.set_num_threads(equipment.threads)
    try:
        with memory_limit(spec.max_memory_bytes), np.errstate(all="ignore"):
            model = Model(spec, data_of(spec, equipment, data), Environment(equipment.threads, {}))
            start = {name: np.array(to_numpy(value)) for name, value in model.trainer.parameters().items()}
            batch = gradients.first_batch(model.problem)
            return Gradients(len(batch.features), gradients.compare(batch, trainers, start))
    except FloatingPointError as error:
        hint = "give smaller numbers" if spec.standardize else "standardize, or give smaller numbers"
        return Fault(FaultReason.DIVERGED, f"{error}; {hint}")
    except Exception as error:
        _logger.exception("a check of gradients has failed")
        return fault_of(error, spec, "a check of gradients")
