"""What is said of a spec in words."""

import json

from gradstream.cli.data_report import SHORT
from gradstream.spec import Part, Spec


def spec_rows(spec: Spec) -> list[tuple[str, str]]:
    """Names and values of everything that is set."""
    data = "reference experiment"
    if not spec.reference:
        data = f"{', '.join(spec.feature_names)} -> {', '.join(spec.target_names)}"
    rows = [
        ("trainer", spec.trainer),
        ("device", spec.device),
        *([("data set", spec.dataset[:SHORT])] if spec.dataset else []),
        ("data", data),
        ("learning rate", f"{spec.learning_rate:g}"),
        ("batch size", f"{spec.batch_size:,}" + (", shuffled" if spec.shuffle else "")),
        ("gradient reduction", spec.gradient_reduction),
        ("intercept", "yes" if spec.intercept else "no"),
        *[(name, _part(part)) for name, part in spec.parts.items()],
        ("l2", f"{spec.l2:g}"),
        ("dtype", spec.dtype),
        ("seed", str(spec.seed)),
        ("standardize", "yes" if spec.standardize else "no"),
    ]
    rows += [(f"starts at {name}", str(value.tolist())) for name, value in spec.initial_parameters.items()]
    if spec.max_memory_bytes:
        rows.append(("memory", f"at most {spec.max_memory_bytes:,} bytes"))
    if spec.max_seconds:
        rows.append(("time", f"at most {spec.max_seconds:g} s"))
    rows += _measured(spec)
    if spec.report_every > 1:
        rows.append(("report every", f"{spec.report_every:,} epochs"))
    return rows


def _measured(spec: Spec) -> list[tuple[str, str]]:
    """What the model is measured on, and what ends training early."""
    rows = []
    if spec.validation_fraction is not None:
        rows.append(("validation", f"{spec.validation_fraction:g} of the rows"))
    if spec.validation_rows is not None:
        rows.append(("validation", f"the last {spec.validation_rows:,} rows"))
    if spec.validation_dataset is not None:
        rows.append(("validation", f"data set {spec.validation_dataset[:12]}"))
    if spec.metrics:
        rows.append(("metrics", ", ".join(spec.metrics)))
    if spec.patience is not None:
        rows.append(("patience", f"{spec.patience:,} epochs"))
    if spec.monitor is not None:
        least = f", by more than {spec.min_delta:g}" if spec.min_delta else ""
        rows.append(("monitored", f"{spec.monitor.replace('_', ' ')}{least}"))
        rows.append(("model of", "the best epoch" if spec.restore_best else "the last epoch"))
    if spec.stop_after_seconds is not None:
        rows.append(("stops after", f"{spec.stop_after_seconds:g} s"))
    if spec.stop_after_epochs is not None:
        rows.append(("stops after", f"{spec.stop_after_epochs:,} epochs"))
    return rows


def _part(part: Part) -> str:
    options = ", ".join(f"{name} {json.dumps(value)}" for name, value in part.options.items())
    return f"{part.name} ({options})" if options else part.name
