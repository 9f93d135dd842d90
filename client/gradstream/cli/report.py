"""What is said of a run in words: predictions and parameters."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gradstream.events import Completed, FloatArray, Started, StateChange
from gradstream.job import JobState
from gradstream.spec import Spec

_MOST_LINES = 20
_LARGE = 1e7


def prediction_lines(when: str, rows: FloatArray | None, predictions: FloatArray | None) -> list[str]:
    """A line for each row: `prediction before training: f(5) = 0.000`."""
    if rows is None or predictions is None:
        return []
    return [
        f"prediction {when} training: f({', '.join(f'{x:g}' for x in row)}) = {_tuple(prediction)}"
        for row, prediction in zip(rows, predictions, strict=True)
    ]


def epoch_line(
    epoch: int,
    loss: float,
    parameters: Mapping[str, NDArray[np.floating]] | None,
    validation_loss: float | None = None,
) -> str:
    """`epoch 1: w = 1.200, loss = 30.00000000`; w where the model has a single weight."""
    weight = parameters.get("weight") if parameters else None
    w = f"w = {fixed(weight.item(), 3)}, " if weight is not None and weight.size == 1 else ""
    measured = "" if validation_loss is None else f", validation loss = {fixed(validation_loss, 8)}"
    return f"epoch {epoch}: {w}loss = {fixed(loss, 8)}{measured}"


def change_line(event: StateChange, *, is_past: bool) -> str:
    """Why a job that has run before is started or queued again; empty where there is nothing to tell."""
    if event.state is JobState.RUNNING or (event.state is JobState.QUEUED and event.attempt and not is_past):
        return event.reason
    return ""


def size_line(started: Started) -> str:
    """How much data there is."""
    measured = f", n_validation_samples: {started.validation_rows}" if started.validation_rows else ""
    return f"n_samples: {started.rows}{measured}, n_features: {started.features}"


def parameter_lines(result: Completed, spec: Spec) -> list[str]:
    """The parameters in the data's own units, a line for each feature and a column for each target."""
    parameters = result.parameters_in_own_units
    if "weight" not in parameters:
        rows = [[name, " x ".join(str(size) for size in value.shape)] for name, value in parameters.items()]
        return ["parameters:", *aligned(rows)]
    columns = parameters["weight"].T
    targets, features = columns.shape[1], columns.shape[0]
    names = list(spec.feature_names or _numbered("x", features))
    if "bias" in parameters:
        columns = np.vstack([columns, parameters["bias"]])
        names.append("bias")
    heading = _outputs(spec, targets)
    rows = [[name, *(f"{value:.6g}" for value in row)] for name, row in zip(names, columns, strict=True)]
    if len(rows) > _MOST_LINES:
        rows = [*rows[: _MOST_LINES - 1], [f"... {len(rows) - _MOST_LINES} more", *[""] * targets], rows[-1]]
    units = " in the data's own units" if result.unscaled_parameters else ""
    return [f"parameters{units}:", *aligned([["", *heading], *rows])]


def values_by_name(result: Completed, spec: Spec) -> dict[str, float]:
    """Each number of the parameters in the data's own units, by the names of feature and target."""
    parameters = result.parameters_in_own_units
    if "weight" not in parameters:
        return {}  # Nobody compares the numbers of several layers by eye.
    targets, features = parameters["weight"].shape
    of = [f" of {name}" for name in _outputs(spec, targets)] if targets > 1 else [""]
    names = spec.feature_names or _numbered("x", features)
    values = {
        f"weight {name}{of[j]}": float(parameters["weight"][j, i])
        for j in range(targets)
        for i, name in enumerate(names)
    }
    if "bias" in parameters:
        values |= {f"bias{of[j]}": float(parameters["bias"][j]) for j in range(targets)}
    return values


def predictions_by_name(result: Completed, spec: Spec) -> dict[str, float]:
    """Each prediction, by its row: `f(5)`; and its target, where there are several."""
    if spec.predict_rows is None or result.predictions is None:
        return {}
    targets = result.predictions.shape[1]
    of = [f" {name}" for name in _outputs(spec, targets)] if targets > 1 else [""]
    return {
        f"f({', '.join(f'{x:g}' for x in row)}){of[j]}": float(prediction[j])
        for row, prediction in zip(spec.predict_rows, result.predictions, strict=True)
        for j in range(targets)
    }


def outcome_line(result: Completed) -> str:
    """How far training went, and how long it took."""
    return f"{reached(result)} in {duration(result.training_seconds)}"


def reached(result: Completed) -> str:
    """`loss 0.5 after 20 epochs`; of the best epoch, where the model is that one's."""
    loss = f"loss {result.final_loss:.6g}"
    if result.validation_loss is not None:
        loss += f", validation loss {result.validation_loss:.6g}"
    epochs = counted(result.epochs, "epoch")
    if result.restored:
        return f"{loss} after epoch {result.best_epoch:,}, the best of {epochs}"
    return f"{loss} after {epochs}"


def measured_lines(result: Completed, spec: Spec) -> list[str]:
    """What was measured of the validation rows, and why training has ended before its last epoch."""
    lines = []
    if result.metrics:
        lines.append(f"validation: {metrics_text(result.metrics)}")
    if result.end == "NO_IMPROVEMENT":
        name, epochs = (spec.monitor or "").replace("_", " "), counted(spec.patience or 0, "epoch")
        lines.append(f"ended early: the {name} has not improved for {epochs}")
    if result.end == "TIME":
        lines.append(f"ended early: {duration(spec.stop_after_seconds or 0)} were over")
    return lines


def metrics_text(metrics: Mapping[str, float]) -> str:
    """`mae 0.9, rmse 1.1`"""
    return ", ".join(f"{name} {value:.6g}" for name, value in metrics.items())


def model_note(result: Completed) -> str:
    """`, model house-prices:3`, to be said behind a job; empty for a model that is called as its job is."""
    return f", model {result.model}" if result.model and result.model.name != result.job else ""


def named_lines(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Names and values as lines, the values below each other."""
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {value}" for name, value in rows]


def aligned(rows: Sequence[Sequence[str]], indent: str = "  ") -> list[str]:
    """Rows of cells as lines: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [f"{row[0]:<{widths[0]}}"]
        cells += [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def duration(seconds: float) -> str:
    """A time span for people: 850 ms, 12.3 s, 4:05, 1:02:03."""
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def counted(count: int, noun: str) -> str:
    """`1 row`, `1,234 rows`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def fixed(value: float, places: int) -> str:
    """A number with fixed places, without a minus before zero; a very large one with an exponent instead."""
    if abs(value) >= _LARGE:
        return f"{value:.9g}"
    return f"{round(value, places) + 0.0:.{places}f}"


def _tuple(values: FloatArray) -> str:
    texts = [fixed(float(value), 3) for value in values]
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"


def _outputs(spec: Spec, count: int) -> list[str]:
    """Names of what the model has for each row: the targets, or classes."""
    return list(spec.classes if len(spec.classes) == count else spec.target_names or _numbered("y", count))


def _numbered(letter: str, count: int) -> list[str]:
    return [f"{letter}{i}" for i in range(1, count + 1)]
