"""A worker: a process that trains one task after the other.

It talks with the server over one pipe. In: `Assignment` and `Stop`. Out: `Hello` once, then lists of events.
When the pipe closes, the server is gone and the worker ends.
"""

import gc
import logging
import platform
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

import gradstream
from gradstream_server.executors.messages import Assignment, Hello, Stop
from gradstream_server.executors.training import Environment, Training
from gradstream_server.jobs import reference
from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.events import StateChange
from gradstream_server.jobs.executor import Device, Task
from gradstream_server.jobs.spec import InlineData
from gradstream_server.trainers import devices

_logger = logging.getLogger(__name__)


def main(connection: Connection, threads: int, configure_logging: Callable[[], None]) -> None:
    """Serve tasks until the pipe closes."""
    # Ctrl-C on a terminal reaches the whole group; the server decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A crash costs an error message, not gigabytes of disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    configure_logging()
    import torch

    torch.set_num_threads(threads)
    # What is loaded stays: without this each full collection looks through all of torch, and epochs that wait
    # to be sent make for many collections.
    gc.freeze()
    environment = Environment(
        threads,
        {
            "gradstream": gradstream.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": str(torch.__version__),
        },
    )
    try:
        connection.send(Hello(tuple(Device(*device) for device in devices.available())))
        while True:
            match connection.recv():
                case Assignment() as assignment:
                    _run(assignment, connection, environment)
                case Stop():
                    pass  # It has come after the end of its job.
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _run(assignment: Assignment, connection: Connection, environment: Environment) -> None:
    task = assignment.task

    def stop_requested() -> bool:
        requested = False
        while connection.poll():
            requested |= connection.recv() == Stop(task.job)
        return requested

    try:
        data = _load(assignment.data) if assignment.data else reference.DATA
        # A training that diverges passes through infinities on its way; it is told at the end, once.
        with np.errstate(all="ignore"):
            for events in Training(task.spec, data, environment).run(stop_requested):
                connection.send(events)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        _logger.exception("a job has failed", extra={"job": task.job})
        connection.send([_failed(error, task)])


def _load(path: Path) -> InlineData:
    with path.open("rb") as file:
        features, targets = (np.load(file, allow_pickle=False) for _ in range(2))
    return InlineData(features, targets)


def _failed(error: Exception, task: Task) -> StateChange:
    text = str(error).lower()
    if isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text:
        message = (
            "there was not enough memory to train; use fewer rows at a time: a smaller batch_size, or float32"
        )
        fault = Fault(FaultReason.OUT_OF_MEMORY, message)
    else:
        message = f"the trainer failed; the server's log tells more under job {task.job}"
        fault = Fault(FaultReason.TRAINER_FAILED, message, {"exception": type(error).__name__})
    return StateChange("FAILED", fault.message, fault=fault)
