"""From messages about models to values."""

from datetime import UTC

from gradstream.convert import receipt_of, spec_of
from gradstream.model import ModelInfo
from gradstream.v1 import model_pb2


def model_info_of(message: model_pb2.Model) -> ModelInfo:
    """What is known of a model."""
    result = message.result
    metrics = {"final_loss": result.final_loss}
    if result.HasField("validation_loss"):
        metrics["validation_loss"] = result.validation_loss
    metrics |= {metric.name: metric.value for metric in result.metrics}
    return ModelInfo(
        name=message.name,
        version=message.version,
        job=message.job,
        create_time=message.create_time.ToDatetime(UTC),
        spec=spec_of(message.spec),
        epochs=result.epochs,
        metrics=metrics,
        training_seconds=result.training_seconds,
        receipt=receipt_of(result.receipt),
    )
