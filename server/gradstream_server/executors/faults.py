"""What ends a job that fails in a worker, in words for people."""

from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.events import StateChange
from gradstream_server.jobs.executor import Task
from gradstream_server.jobs.spec import Spec
from gradstream_server.stores.reserve import NO_ROOM
from gradstream_server.trainers.catalogue import is_plugin
from gradstream_server.trainers.errors import CannotTrain

_MOST_SAID = 300


def diverged(epoch: int, standardized: bool) -> StateChange:
    """The loss is not a finite number any more."""
    hint = "a smaller learning_rate" + ("" if standardized else ", or standardize")
    message = f"the loss is not finite any more in epoch {epoch}: training has diverged; try {hint}"
    return _failed(Fault(FaultReason.DIVERGED, message, {"epoch": str(epoch)}))


def predictions_not_finite(when: str) -> StateChange:
    """A prediction `when` training is not a finite number, though the parameters are."""
    message = (
        f"a prediction {when} training is past the largest number of its dtype: "
        "give smaller predict_rows, or use dtype float64"
    )
    return _failed(Fault(FaultReason.PREDICTIONS_NOT_FINITE, message))


class NoRowsLeft(Exception):
    """Each row of a data set lacks a value of a selected column."""

    def __init__(self, which: str = "") -> None:
        """
        Args:
            which: rows of which kind, such as "to measure on"; empty for all.
        """
        super().__init__(which)
        self.which = which


class DataLost(Exception):
    """The data of a job are not what they were, or not there."""


def raised(error: Exception, task: Task) -> StateChange:
    """Something was raised while a job was trained."""
    return _failed(fault_of(error, task.spec, f"job {task.job}"))


def fault_of(error: Exception, spec: Spec, where: str) -> Fault:
    """What an error means: for want of data or of memory, or what nobody has foreseen.

    where: what the server's log tells it under.
    """
    if isinstance(error, DataLost):
        message = "the server has lost the data of the job, or they were damaged; send them again"
        return Fault(FaultReason.DATA_LOST, message)
    if isinstance(error, NoRowsLeft):
        message = "each row lacks a value of a selected column"
        if error.which:
            message = f"no row that has a value of each selected column is left {error.which}"
        message += "; select fewer columns, or set nulls to MEAN"
        return Fault(FaultReason.NO_ROWS_LEFT, message)
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        message = "the server's disk has no room for what the job learns from; make room, then start it again"
        return Fault(FaultReason.STORAGE_FULL, message)
    if isinstance(error, CannotTrain):
        return Fault(FaultReason.CANNOT_TRAIN, str(error))
    text = str(error).lower()
    # torch has no error of its own for it.
    if isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text:
        message = "there was not enough memory to train"
        if limit := spec.max_memory_bytes:
            message = f"training needs more memory than the {limit} bytes of max_memory_bytes"
        message += "; use fewer rows at a time: a smaller batch_size, or float32"
        return Fault(FaultReason.OUT_OF_MEMORY, message)
    kind, more = type(error).__name__, f"the server's log tells more under {where}"
    if is_plugin(model := spec.parts["model"]):
        # Who wrote it has to know, and may be who asks: the first line of what it says is enough.
        said = "".join(str(error).splitlines()[:1])[:_MOST_SAID]
        message = f"training the installed module {model.name!r} has failed with {kind}: {said}; {more}"
        return Fault(FaultReason.MODULE_FAILED, message, {"exception": kind})
    message = f"the trainer failed; {more}"
    return Fault(FaultReason.TRAINER_FAILED, message, {"exception": kind})


def _failed(fault: Fault) -> StateChange:
    return StateChange("FAILED", fault.message, fault=fault)
