"""Comparisons of gradients as messages."""

from gradstream.v1 import training_service_pb2
from gradstream_server.jobs.gradient_check import GradientCheck
from gradstream_server.rpc import specs
from gradstream_server.trainers.gradients import ParameterGradient


def to_message(check: GradientCheck) -> training_service_pb2.CheckGradientsResponse:
    """A comparison."""
    return training_service_pb2.CheckGradientsResponse(
        resolved_spec=specs.to_message(check.spec),
        rows=check.gradients.rows,
        trainers=check.trainers,
        left_out=[
            training_service_pb2.LeftOutTrainer(trainer=trainer, reason=reason)
            for trainer, reason in check.left_out.items()
        ],
        parameters=[_parameter(each) for each in check.gradients.parameters],
    )


def _parameter(gradient: ParameterGradient) -> training_service_pb2.ParameterGradient:
    return training_service_pb2.ParameterGradient(
        parameter=gradient.name,
        shape=gradient.shape,
        difference=gradient.difference,
        elements=gradient.elements.tolist(),
        finite_differences=gradient.finite_differences.tolist(),
        gradients=[
            training_service_pb2.TrainerGradient(
                trainer=trainer,
                values=values.tolist(),
                finite_difference_error=gradient.errors[trainer],
            )
            for trainer, values in gradient.values.items()
        ],
    )
