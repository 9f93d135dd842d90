"""Which parameters a model has: names and shapes, known without torch."""

from math import prod

from gradstream_server.trainers.catalogue import is_plugin
from gradstream_server.trainers.part import Choice

Shapes = dict[str, tuple[int, ...]]


def of(model: Choice, features: int, outputs: int, intercept: bool) -> Shapes | None:
    """The parameters in order, as `models.build` names them; None of an installed module."""
    if is_plugin(model):
        return None
    if model.name != "mlp":
        return {"weight": (outputs, features)} | ({"bias": (outputs,)} if intercept else {})
    shapes: Shapes = {}
    normalized, dropped = model.options["normalization"] == "layer", model.options["dropout"] > 0
    place, size = 0, features
    for wider in model.options["hidden"]:
        shapes |= _linear(place, wider, size, intercept)
        if normalized:
            shapes |= {f"{place + 1}.weight": (wider,), f"{place + 1}.bias": (wider,)}
        # The layer, what normalizes it, the activation, what drops some of it.
        place, size = place + 1 + normalized + 1 + dropped, wider
    return shapes | _linear(place, outputs, size, intercept)


def count(shapes: Shapes) -> int:
    """Numbers that the parameters are."""
    return sum(prod(shape) for shape in shapes.values())


def _linear(place: int, outputs: int, inputs: int, intercept: bool) -> Shapes:
    shapes: Shapes = {f"{place}.weight": (outputs, inputs)}
    return shapes | ({f"{place}.bias": (outputs,)} if intercept else {})
