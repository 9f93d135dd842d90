"""Whether what a job has given is what its plan gives when nothing disturbs it, to the last bit."""

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
from tests.chaos.fingerprints import fingerprint
from tests.chaos.references import Curve, Reference, References, curve_of
from tests.chaos.tracked import TrackedJob

from gradstream import (
    Checkpoint,
    Completed,
    EpochUpdates,
    Event,
    JobState,
    JobWarning,
    Started,
    StateChange,
)


def differences(job: TrackedJob, references: References) -> Iterator[str]:
    """What differs between the log of a job that has ended and the reference."""
    log, reference = job.log, references.whole(job.plan)
    if not log:
        return
    for event in log:
        if isinstance(event, Started):
            yield from _unlike("started", event, reference.started)
        if isinstance(event, JobWarning) and not (event.reason == "CHECKPOINT_DAMAGED" and job.damaged):
            yield f"event {event.sequence}: a warning without a reason, {event.reason}: {event.message}"
    end = log[-1]
    cancelled = isinstance(end, StateChange) and end.state is JobState.CANCELLED
    yield from _curve_differences(curve_of(log), reference.curve, whole=not cancelled)
    yield from _untold(log, job, reference)
    yield from _end_differences(end, job, references)


def _curve_differences(curve: Curve, reference: Curve, whole: bool) -> Iterator[str]:
    told = len(curve.epochs)
    if whole and told != len(reference.epochs):
        yield f"{told} epochs are reported, {len(reference.epochs)} by the reference"
    columns = {"epochs": (curve.epochs, reference.epochs), "losses": (curve.losses, reference.losses)}
    for name, values in curve.parameters.items():
        columns[name] = (values, reference.parameters[name])
    for name, (found, expected) in columns.items():
        same = min(told, len(expected))
        if not np.array_equal(found[:same], expected[:same]):
            differs = (found[:same] != expected[:same]).reshape(same, -1).any(axis=1)
            i = int(np.argmax(differs))
            yield f"{name} differ from epoch {curve.epochs[i]} on: {found[i]!r}, reference {expected[i]!r}"
    if told and set(curve.parameters) != set(reference.parameters):
        yield f"parameters {set(curve.parameters)} are told, {set(reference.parameters)} by the reference"


def _untold(log: list[Event], job: TrackedJob, reference: Reference) -> Iterator[str]:
    """What a checkpoint holds has been told before it: nobody could be told of it later."""
    told = 0
    for event in log:
        if isinstance(event, EpochUpdates):
            told += len(event)
        elif isinstance(event, Checkpoint):
            due = int(np.searchsorted(reference.curve.epochs, event.epoch, side="right"))
            if told < due or event.epoch > job.plan.options["epochs"]:
                yield f"event {event.sequence}: a checkpoint of {event.epoch}, told {told} of {due} epochs"


def _end_differences(end: Event, job: TrackedJob, references: References) -> Iterator[str]:
    expected = references.whole(job.plan).end
    if isinstance(end, Completed):
        if isinstance(expected, Completed):
            yield from _result_differences(end, expected)
        else:
            yield f"it has completed, the reference is {expected.state}"
    elif isinstance(end, StateChange) and end.state is JobState.FAILED:
        if not (isinstance(expected, StateChange) and end.fault == expected.fault):
            yield f"it has failed: {end.fault}"
    elif isinstance(end, StateChange) and end.result_so_far:
        result = end.result_so_far
        if result.epochs >= job.plan.options["epochs"]:
            yield f"it was cancelled after all of its {result.epochs} epochs"
        yield from _partial_differences(result, job, references)


def _partial_differences(found: Completed, job: TrackedJob, references: References) -> Iterator[str]:
    """What differs between a result so far and what a job has by then that nothing disturbs."""
    curve, alone = references.whole(job.plan).curve, references.after(job.plan, found.epochs)
    (told,) = np.nonzero(curve.epochs == found.epochs)
    if not told.size or curve.losses[told[0]] == alone.final_loss:
        # The one has been interrupted, the other has trained all that it was to train.
        yield from _result_differences(found, replace(alone, end=found.end))
        return
    # So few epochs alone are computed in another way, on all rows instead of the few that stand for them.
    expected = {name: values[told[0]] for name, values in curve.parameters.items()}
    reached = {name: found.parameters[name] for name in expected}
    expected["loss"], reached["loss"] = curve.losses[told[0]], np.asarray(found.final_loss)
    for name, value in expected.items():
        if not np.array_equal(reached[name], value):
            yield f"after {found.epochs} epochs {name} is {reached[name]}, {value} by the curve"


def _result_differences(found: Completed, expected: Completed) -> Iterator[str]:
    yield from _unlike(f"the result after {found.epochs} epochs", found, expected)
    if not found.training_seconds > 0:
        yield f"training took {found.training_seconds} s"


def _unlike(what: str, found: Event, expected: Event) -> Iterator[str]:
    """The fields of two events of the same type that differ, but for where and when they happened.

    A model without a name of its own has that of its job.
    """
    for each in fields(expected):
        if each.name in ("job", "sequence", "attempt", "time", "training_seconds", "model"):
            continue
        one, other = getattr(found, each.name), getattr(expected, each.name)
        if fingerprint(one) != fingerprint(other):
            yield f"{what}: {each.name} is {one}, reference {other}"
