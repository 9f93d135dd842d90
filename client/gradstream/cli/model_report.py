"""What is said of a model in words."""

from gradstream.cli.report import counted, duration
from gradstream.cli.spec_report import spec_rows
from gradstream.model import ModelInfo

_SHORT = 12


def model_rows(model: ModelInfo) -> list[tuple[str, str]]:
    """Names and values of everything that is known of it."""
    receipt, spec = model.receipt, model.spec
    done = f" of {spec.epochs:,}" if model.epochs != spec.epochs else ""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(receipt.versions.items()))
    return [
        ("name", model.name),
        ("version", str(model.version)),
        ("created", f"{model.create_time.astimezone():%Y-%m-%d %H:%M:%S}"),
        ("job", model.job),
        ("trained", f"{counted(model.epochs, 'epoch')}{done} in {duration(model.training_seconds)}"),
        *((name.replace("_", " "), f"{value:.8g}") for name, value in model.metrics.items()),
        *spec_rows(spec),
        ("parameters", f"digest {receipt.parameter_digest[:_SHORT]}"),
        ("trained on", f"{receipt.device}, {counted(receipt.threads, 'thread')}"),
        ("data digest", receipt.data_digest),
        ("versions", versions),
    ]
