"""Random Fourier features, for gradstream: what the model is called, which options and losses it has.

The server reads this without torch, so torch is imported where the model is built.
"""

description = "A weighted sum of random waves, which draws smooth curves (Rahimi and Recht, 2007)"

options = {
    "waves": {
        "type": "integer",
        "description": "How many",
        "minimum": 1,
        "maximum": 10_000,
        "default": 200,
    },
    "length": {
        "type": "number",
        "description": "How far a feature goes until the curve may turn, in the units that it is trained in",
        "exclusiveMinimum": 0,
        "default": 1,
    },
    "dropout": {
        "type": "number",
        "description": "Part of the waves that is left out while training",
        "minimum": 0,
        "exclusiveMaximum": 1,
        "default": 0,
    },
}

losses = ("mse", "l1", "huber", "log_loss", "cross_entropy")


def build(features: int, outputs: int, *, waves: int, length: float, dropout: float):
    """The model, from (rows, features) to (rows, outputs)."""
    from gradstream_fourier.network import FourierFeatures

    return FourierFeatures(features, outputs, waves, length, dropout)
