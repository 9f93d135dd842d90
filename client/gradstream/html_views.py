"""What notebooks show of values of ours. Imported only where one is shown."""

from collections.abc import Iterable, Sequence
from itertools import islice

from gradstream.cli.report import (
    counted,
    duration,
    measured_lines,
    outcome_line,
    predictions_by_name,
    values_by_name,
)
from gradstream.dataset import Dataset
from gradstream.events import Completed
from gradstream.gradients import GradientCheck, ParameterGradient
from gradstream.html import bar, card, line, table
from gradstream.html_chart import Curve, chart
from gradstream.job import Job, JobState
from gradstream.model import ModelInfo
from gradstream.run import WatchedRun
from gradstream.spec import Spec
from gradstream.sweep import WatchedSweep
from gradstream.sweep_run import SweepRun

_MOST_ROWS = 30
_MOST_ELEMENTS = 8
_DIGEST = 12


def run_html(run: WatchedRun, result: Completed | None = None, trouble: str = "") -> str:
    """A run so far: how far it is, and its curve; with its result what was learnt.

    trouble: what there is to say beside, such as why it has failed.
    """
    spec, epochs, losses, measured = _spec(run), run.epochs, run.losses, run.validation_losses
    done, total = int(epochs[-1]) if len(epochs) else 0, spec.epochs if spec else 0
    ahead = f", {run.jobs_ahead} ahead" if run.state is JobState.QUEUED and run.jobs_ahead else ""
    what = f"{spec.trainer}, {spec.parts['model'].name}: " if spec else ""
    parts = [bar(done / total, f"epoch {done:,}/{total:,}")] if total else []
    if len(losses):
        also = f", validation loss {measured[-1]:.6g}" if len(measured) else ""
        parts.append(line(outcome_line(result) if result else f"loss {losses[-1]:.6g}{also}"))
        curves = [Curve("loss", epochs, losses)]
        curves += [Curve("validation loss", epochs, measured)] if len(measured) else []
        parts.append(chart(curves))
    if result and spec:
        parts += _learnt(result, spec)
    return card(f"job {run.job} · {what}{run.state.lower()}{ahead}", *parts, line(trouble))


def completed_html(result: Completed) -> str:
    """What training has led to, without the names of the features, which it does not hold."""
    parameters = [
        (name, " x ".join(map(str, value.shape)), _first(value.ravel().tolist()))
        for name, value in result.parameters_in_own_units.items()
    ]
    rows = [] if result.predictions is None else result.predictions.tolist()
    predictions = [(f"prediction {i}", "", _first(row)) for i, row in enumerate(rows, 1)]
    shown = [*parameters, *predictions]
    return card(
        f"job {result.job} · {outcome_line(result)}",
        _limited(shown, ("parameter", "shape", "values")),
        line(f"on {result.receipt.device}, parameters {result.receipt.parameter_digest[:_DIGEST]}"),
    )


def job_html(job: Job) -> str:
    """A job as it stands."""
    loss = "" if job.last_loss is None else f"{job.last_loss:.6g}"
    measured = "" if job.last_validation_loss is None else f"{job.last_validation_loss:.6g}"
    began, ended = job.start_time, job.end_time
    rows = [
        ("trainer", f"{job.spec.trainer} on {job.spec.device}"),
        ("model", job.spec.parts["model"].name),
        ("epochs", f"{job.epochs_done:,} of {job.spec.epochs:,}"),
        ("loss", loss),
        ("validation loss", measured),
        ("created", f"{job.create_time:%Y-%m-%d %H:%M:%S} UTC"),
        ("ran for", duration((ended - began).total_seconds()) if began and ended else ""),
        ("group", job.group),
    ]
    reason = f"{job.fault.reason}: {job.fault.message}" if job.fault else ""
    return card(f"job {job.id} · {job.state.lower()}", table(row for row in rows if row[1]), line(reason))


def dataset_html(dataset: Dataset) -> str:
    """A data set and its columns."""
    rows = [
        (
            each.name,
            each.type.lower(),
            f"{each.nulls:,}",
            *(_number(value) for value in (each.min, each.mean, each.max)),
        )
        for each in dataset.columns
    ]
    size = f"{counted(dataset.rows, 'row')}, {counted(len(dataset.columns), 'column')}"
    return card(
        f"data set {dataset.name} · {size}",
        line(f"digest {dataset.digest[:_DIGEST]}, {dataset.size_bytes:,} bytes"),
        _limited(rows, ("column", "type", "without value", "min", "mean", "max")),
    )


def model_html(model: ModelInfo) -> str:
    """A model: what it is and how well it does."""
    spec, measured = model.spec, [(name.replace("_", " "), _number(v)) for name, v in model.metrics.items()]
    rows = [
        ("model", spec.parts["model"].name),
        ("trainer", f"{spec.trainer} on {model.receipt.device}"),
        ("features", _limited_names(spec.feature_names)),
        ("targets", _limited_names(spec.target_names)),
        ("classes", _limited_names(spec.classes)),
        ("trained", f"{counted(model.epochs, 'epoch')} in {duration(model.training_seconds)}"),
        *measured,
        ("created", f"{model.create_time:%Y-%m-%d %H:%M:%S} UTC"),
    ]
    return card(
        f"model {model.name}:{model.version}",
        table(row for row in rows if row[1]),
        line(f"job {model.job}, parameters {model.receipt.parameter_digest[:_DIGEST]}"),
    )


def sweep_html(sweep: WatchedSweep) -> str:
    """The runs of a sweep, the best first."""
    ended = sum(run.ended for run in sweep.runs)
    ranked = sorted(sweep.runs, key=lambda run: (run.value is None, run.value or 0.0, run.number))
    names = list(ranked[0].options) if ranked else []
    rows = [
        (
            str(run.number),
            *(str(run.options[name]) for name in names),
            run.state.lower(),
            _number(run.value),
            _job(run),
        )
        for run in ranked
    ]
    share = ended / sweep.total if sweep.total else 0.0
    return card(
        f"sweep {sweep.group}",
        bar(share, f"{ended:,} of {counted(sweep.total, 'run')}"),
        _limited(rows, ("run", *names, "state", "loss", "job")) if rows else "",
    )


def gradient_check_html(check: GradientCheck) -> str:
    """How far apart the gradients are, and some of them."""
    rows = [
        (name, f"{each.difference:.3g}", f"{max(each.finite_difference_errors.values()):.3g}")
        for name, each in check.parameters.items()
    ]
    values = [row for name, each in check.parameters.items() for row in _values(name, each, check.trainers)]
    return card(
        f"gradients of {', '.join(check.trainers)} on {counted(check.rows, 'row')}",
        _limited(rows, ("largest relative difference", "between trainers", "from finite differences")),
        _limited(values, ("gradient by", *check.trainers, "finite differences")),
        *(line(f"left out: {trainer}; {reason}") for trainer, reason in check.left_out.items()),
    )


def _values(name: str, gradient: ParameterGradient, trainers: Sequence[str]) -> Iterable[tuple[str, ...]]:
    for i, element in enumerate(gradient.elements[:_MOST_ELEMENTS].tolist()):
        numbers = [*(gradient.values[trainer][i] for trainer in trainers), gradient.finite_differences[i]]
        yield (f"{name}[{element}]", *(f"{number:.8g}" for number in numbers))


def _learnt(result: Completed, spec: Spec) -> list[str]:
    values = {**predictions_by_name(result, spec), **values_by_name(result, spec)}
    rows = [(name, f"{value:.6g}") for name, value in values.items()]
    return [*map(line, measured_lines(result, spec)), _limited(rows, ())] if rows else []


def _first(numbers: Sequence[float]) -> str:
    """The first of some numbers."""
    texts = [f"{each:.6g}" for each in numbers[:_MOST_ELEMENTS]]
    return ", ".join(texts + ["..."] * (len(numbers) > _MOST_ELEMENTS))


def _limited_names(names: Sequence[str]) -> str:
    """The first of some names."""
    return ", ".join([*names[:_MOST_ELEMENTS], *["..."] * (len(names) > _MOST_ELEMENTS)])


def _limited(rows: Sequence[Sequence[str]], head: Sequence[str]) -> str:
    more = line(f"... {len(rows) - _MOST_ROWS:,} more") if len(rows) > _MOST_ROWS else ""
    return table(islice(rows, _MOST_ROWS), head) + more


def _spec(run: WatchedRun) -> Spec | None:
    return run.started.spec if run.started else None


def _job(run: SweepRun) -> str:
    return run.job.id if run.job else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
