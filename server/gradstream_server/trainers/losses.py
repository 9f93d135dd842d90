"""The losses of the module trainer, and what predictions are made of a model's scores."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from gradstream_server.trainers.problem import Problem

Loss = Callable[[Tensor, Tensor], Tensor]
"""From scores (b, outputs) and targets (b, targets) to the mean or the sum over the batch (0-d)."""


def build(problem: Problem) -> Loss:
    """The loss of a problem, in its reduction.

    Weights of classes multiply the loss of a row; the mean is over rows, whatever their weights, so that it
    means the same in every batch.
    """
    options, reduction = problem.loss.options, problem.reduction
    if problem.loss.name == "mse":
        return nn.MSELoss(reduction=reduction)
    if problem.loss.name == "l1":
        return nn.L1Loss(reduction=reduction)
    if problem.loss.name == "huber":
        return nn.HuberLoss(reduction=reduction, delta=options["delta"])
    weights = None
    if options["class_weights"]:
        dtype = torch.float32 if problem.features.dtype.itemsize == 4 else torch.float64
        weights = torch.tensor(options["class_weights"], dtype=dtype, device=problem.device)
    if problem.loss.name == "log_loss":

        def log_loss(scores: Tensor, targets: Tensor) -> Tensor:
            of_rows = None if weights is None else weights[0] + (weights[1] - weights[0]) * targets
            return binary_cross_entropy_with_logits(scores, targets, of_rows, reduction=reduction)

        return log_loss

    def entropy(scores: Tensor, targets: Tensor) -> Tensor:
        if weights is None:
            return cross_entropy(scores, targets[:, 0], reduction=reduction)
        total = cross_entropy(scores, targets[:, 0], weights, reduction="sum")
        return total / len(targets) if reduction == "mean" else total

    return entropy


def predictions(problem: Problem, scores: Tensor) -> Tensor:
    """Numbers (n, targets); probabilities of the second of two classes (n, 1), or of each (n, classes)."""
    if problem.loss.name == "log_loss":
        return scores.sigmoid()
    return scores.softmax(dim=1) if problem.loss.name == "cross_entropy" else scores
