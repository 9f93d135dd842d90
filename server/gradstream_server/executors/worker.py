"""A worker: a process that trains one task after the other.

It talks with the server over one pipe. In: `Assignment` and `Stop`. Out: `Hello` once, then lists of events,
and `Interrupted` when it was told to stop. When the pipe closes, the server is done with it and it ends.
"""

import gc
import logging
import multiprocessing
import os
import platform
import resource
import signal
import threading
from dataclasses import replace
from multiprocessing.connection import Connection

import numpy as np

import gradstream
from gradstream_server.data.dataset import like
from gradstream_server.data.rows import SelectedRows
from gradstream_server.executors.faults import DataLost, raised
from gradstream_server.executors.memory_limit import memory_limit
from gradstream_server.executors.messages import Assignment, Equipment, Hello, Stop
from gradstream_server.executors.model import Environment
from gradstream_server.executors.training import Training
from gradstream_server.executors.training_data import TrainingData
from gradstream_server.jobs import reference
from gradstream_server.jobs.executor import Device
from gradstream_server.jobs.spec import InlineData, Spec
from gradstream_server.trainers import devices, plugins
from gradstream_server.trainers.catalogue import is_plugin
from gradstream_server.trainers.part import Choice

_logger = logging.getLogger(__name__)


def main(connection: Connection, equipment: Equipment) -> None:
    """Serve tasks until the pipe closes."""
    # Ctrl-C on a terminal reaches the whole group; the server decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_server, daemon=True).start()
    # A crash costs an error message, not gigabytes of disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    equipment.configure_logging()
    import torch

    torch.set_num_threads(equipment.threads)
    # What is loaded stays: without this each full collection looks through all of torch, and epochs that wait
    # to be sent make for many collections.
    gc.freeze()
    environment = Environment(
        equipment.threads,
        {
            "gradstream": gradstream.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": str(torch.__version__),
        },
        equipment.max_parameters,
    )
    try:
        connection.send(Hello(tuple(Device(*device) for device in devices.available())))
        while True:
            match connection.recv():
                case Assignment() as assignment:
                    _run(assignment, connection, environment, equipment)
                case Stop():
                    pass  # It has come after the end of its job.
    except (EOFError, OSError):
        return  # Also in the middle of a message.


def _end_with_server() -> None:
    """End when the server has died, also in the middle of an epoch: nobody would ever use the result."""
    server = multiprocessing.parent_process()
    assert server, "a worker is started by a server"
    server.join()
    os._exit(0)


def _run(
    assignment: Assignment, connection: Connection, environment: Environment, equipment: Equipment
) -> None:
    task = assignment.task

    def stop_requested() -> bool:
        requested = False
        while connection.poll():
            requested |= connection.recv() == Stop(task.job)
        return requested

    try:
        # A training that diverges passes through infinities on its way; it is told at the end, once.
        with memory_limit(task.spec.max_memory_bytes), np.errstate(all="ignore"):
            environment = _with_plugin(environment, task.spec.parts["model"])
            data = data_of(task.spec, equipment)
            training = Training(
                task, data, environment, equipment.checkpoints, equipment.checkpoint_interval_s
            )
            for events in training.run(stop_requested):
                connection.send(events)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        _logger.exception("a job has failed", extra={"job": task.job})
        connection.send([raised(error, task)])


def _with_plugin(environment: Environment, model: Choice) -> Environment:
    """What a model was made by belongs to its receipt."""
    if not is_plugin(model):
        return environment
    return replace(environment, versions={**environment.versions, **plugins.versions(model.name)})


def data_of(spec: Spec, equipment: Equipment, inline: InlineData | None = None) -> TrainingData:
    """The data of a spec; inline ones are those given, or else those that are kept.

    Raises:
        DataLost, NoRowsLeft, OSError: they cannot be had.
    """
    digest = spec.data.digest
    if spec.data.selection:
        dataset = equipment.datasets.read(digest)
        if dataset is None:
            raise DataLost(digest)
        rows = SelectedRows(equipment.datasets.table(digest), dataset, spec.data.selection)
        others = None
        if spec.validation and (other := spec.validation.dataset):
            measured = equipment.datasets.read(other)
            if measured is None:
                raise DataLost(other)
            # What stands for a value is learnt from the rows to learn from.
            others = SelectedRows(
                equipment.datasets.table(other), like(measured, dataset), spec.data.selection
            )
        return TrainingData.of_dataset(spec, rows, equipment.matrices, others)
    data = inline or (equipment.data.get(digest) if spec.data.inline else reference.DATA)
    if data is None:
        raise DataLost(digest)
    return TrainingData.of_inline(spec, data)
