"""The model itself, as one would write it anywhere."""

import math

import torch
from torch import Tensor, nn


class FourierFeatures(nn.Module):
    """A linear model of cos(x F + p), with frequencies F and phases p that are drawn once and stay."""

    def __init__(self, features: int, outputs: int, waves: int, length: float, dropout: float) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(features, waves) / length)
        self.register_buffer("phases", 2 * math.pi * torch.rand(waves))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(waves, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (rows, outputs) of rows (rows, features)."""
        return self.linear(self.dropout(torch.cos(x @ self.frequencies + self.phases)))
