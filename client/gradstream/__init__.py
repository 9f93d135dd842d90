"""gradstream: training as a streaming gRPC service.

    from gradstream import Client

    with Client() as client:
        run = client.train([[1.0], [2.0], [3.0]], [2.0, 4.0, 6.0], epochs=100)
        print(run.result().parameters)

Names are imported when they are first used, so that `import gradstream` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradstream.aio import AsyncClient, AsyncModel, AsyncReplay, AsyncRun
    from gradstream.bundle import Bundle, InputColumn, Origin, load
    from gradstream.client import Client
    from gradstream.dataset import Column, ColumnType, Dataset
    from gradstream.errors import (
        AccessDeniedError,
        AlreadyExistsError,
        BundleError,
        CallCancelledError,
        DeadlineExceededError,
        FailedPreconditionError,
        Fault,
        GradstreamError,
        InvalidArgumentError,
        JobCancelledError,
        JobEndedError,
        JobFailedError,
        NotFoundError,
        OutOfRangeError,
        ResourceExhaustedError,
        ServerFaultError,
        ServerUnreachableError,
        UnavailableError,
        UnsupportedError,
        Violation,
    )
    from gradstream.events import (
        Checkpoint,
        Completed,
        EpochUpdate,
        EpochUpdates,
        Event,
        Heartbeat,
        JobWarning,
        Receipt,
        Scaling,
        Started,
        StateChange,
    )
    from gradstream.gradients import GradientCheck, ParameterGradient
    from gradstream.job import Job, JobState, ModelVersion
    from gradstream.model import Model
    from gradstream.replay import Replay, ReplayResult
    from gradstream.run import Run
    from gradstream.server_info import Device, Health, Limits, PartInfo, ServerInfo, TrainerInfo, Validation
    from gradstream.space import LogUniform, Uniform
    from gradstream.spec import Part, Spec, SpecOptions
    from gradstream.sweep import AsyncSweep, Sweep
    from gradstream.sweep_run import SweepRun
    from gradstream.tls import TLS

__version__ = "0.1.0"

__all__ = [
    "TLS",
    "AccessDeniedError",
    "AlreadyExistsError",
    "AsyncClient",
    "AsyncModel",
    "AsyncReplay",
    "AsyncRun",
    "AsyncSweep",
    "Bundle",
    "BundleError",
    "CallCancelledError",
    "Checkpoint",
    "Client",
    "Column",
    "ColumnType",
    "Completed",
    "Dataset",
    "DeadlineExceededError",
    "Device",
    "EpochUpdate",
    "EpochUpdates",
    "Event",
    "FailedPreconditionError",
    "Fault",
    "GradientCheck",
    "GradstreamError",
    "Health",
    "Heartbeat",
    "InputColumn",
    "InvalidArgumentError",
    "Job",
    "JobCancelledError",
    "JobEndedError",
    "JobFailedError",
    "JobState",
    "JobWarning",
    "Limits",
    "LogUniform",
    "Model",
    "ModelVersion",
    "NotFoundError",
    "Origin",
    "OutOfRangeError",
    "ParameterGradient",
    "Part",
    "PartInfo",
    "Receipt",
    "Replay",
    "ReplayResult",
    "ResourceExhaustedError",
    "Run",
    "Scaling",
    "ServerFaultError",
    "ServerInfo",
    "ServerUnreachableError",
    "Spec",
    "SpecOptions",
    "Started",
    "StateChange",
    "Sweep",
    "SweepRun",
    "TrainerInfo",
    "UnavailableError",
    "Uniform",
    "UnsupportedError",
    "Validation",
    "Violation",
    "__version__",
    "load",
]

# In the order of what they cost to import; each imports those before it that it needs.
_MODULES = (
    "errors",
    "server_info",
    "spec",
    "gradients",
    "space",
    "job",
    "dataset",
    "events",
    "bundle",
    "model",
    "sweep",
    "tls",
    "client",
    "run",
    "replay",
    "aio",
)


def __getattr__(name: str) -> object:
    if name in __all__:
        for module in _MODULES:
            found: object = vars(import_module(f"{__name__}.{module}")).get(name)
            if found is not None:
                globals()[name] = found
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
