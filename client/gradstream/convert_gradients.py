"""From messages to comparisons of gradients."""

import numpy as np

from gradstream.convert import spec_of
from gradstream.gradients import GradientCheck, ParameterGradient
from gradstream.v1.training_service_pb2 import CheckGradientsResponse
from gradstream.v1.training_service_pb2 import ParameterGradient as ParameterGradientMessage


def gradient_check_of(message: CheckGradientsResponse) -> GradientCheck:
    """How far apart the gradients are."""
    return GradientCheck(
        spec=spec_of(message.resolved_spec),
        rows=message.rows,
        trainers=tuple(message.trainers),
        left_out={each.trainer: each.reason for each in message.left_out},
        parameters={each.parameter: _parameter_of(each) for each in message.parameters},
    )


def _parameter_of(message: ParameterGradientMessage) -> ParameterGradient:
    return ParameterGradient(
        shape=tuple(message.shape),
        difference=message.difference,
        elements=np.array(message.elements, np.int64),
        finite_differences=np.array(message.finite_differences, np.float64),
        values={each.trainer: np.array(each.values, np.float64) for each in message.gradients},
        finite_difference_errors={each.trainer: each.finite_difference_error for each in message.gradients},
    )
