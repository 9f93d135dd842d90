"""Models as ONNX graphs: encoding, scaling and layers in one file, from the columns to the predictions.

Features are scaled in float64 and then converted to the precision of training, as in
`gradstream.bundle.predictor`. A graph cannot refuse a row: for an unknown category it predicts NaN.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradstream.bundle import Bundle, InputColumn
from gradstream.bundle.architecture import Activation, LayerNorm, Linear, layers_of
from gradstream.bundle.functions import ERF_LARGE, ERF_MIDDLE, ERF_SMALL
from gradstream_server.models.errors import CannotRender

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto, ValueInfoProto

OPSET = 19
"""Of January 2023: the first in which texts can be compared. ONNX Runtime has it from 1.16 on."""
_IR_VERSION = 9
"""That which came with it."""


def onnx_of(bundle: Bundle) -> bytes:
    """The ONNX model of a bundle.

    Inputs: "features" (rows, features); or where columns are encoded one for each column by its name,
    (rows, 1), of text, whole numbers or numbers. Numbers are float64 where features are scaled, else as
    trained. Output: "predictions" (rows, outputs).

    Raises:
        CannotRender: the extra `onnx` is not installed, or the model is an installed module.
    """
    if bundle.is_plugin:
        what = f"{bundle.model.name!r} is an installed module, of which no ONNX graph can be made"
        raise CannotRender(f"{what}; take the bundle, or the state_dict")
    try:
        import onnx
    except ImportError as error:
        what = "ONNX graphs need the server's extra onnx, which is not installed"
        raise CannotRender(f"{what}: pip install 'gradstream[onnx]'") from error
    graph = _Graph(bundle)
    graph.draw()
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "model", graph.inputs, [graph.output], graph.constants),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="gradstream",
        producer_version=bundle.origin.gradstream,
    )
    described = {
        "features": bundle.features,
        "targets": bundle.targets,
        "classes": bundle.classes,
        "parameter_digest": bundle.receipt.parameter_digest,
    }
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in described.items()})
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Graph:
    """Nodes that are put together one after the other."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._input_dtype = "float64" if bundle.scaling else bundle.dtype
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.inputs: list[ValueInfoProto] = []
        self.output = _value("predictions", bundle.dtype, bundle.outputs)

    def draw(self) -> None:
        """From the inputs to the output."""
        bundle = self._bundle
        x = self._features()
        if bundle.scaling:
            x = self._node("Sub", x, self._constant(bundle.scaling.mean))
            x = self._node("Div", x, self._constant(bundle.scaling.scale))
        if self._input_dtype != bundle.dtype:
            x = self._node("Cast", x, to=_type(bundle.dtype))
        for layer in layers_of(bundle.model, len(bundle.features), bundle.outputs, bundle.intercept):
            match layer:
                case Linear() | LayerNorm():
                    parameters = [self._constant(bundle.parameters[name], name) for name in layer.shapes]
                    if isinstance(layer, Linear):
                        x = self._node("Gemm", x, *parameters, transB=1)
                    else:
                        x = self._layer_norm(x, *parameters)
                case Activation():
                    x = self._activation(layer.kind, x)
        if bundle.loss.name == "log_loss":
            x = self._node("Sigmoid", x)
        elif bundle.loss.name == "cross_entropy":
            x = self._node("Softmax", x, axis=1)
        self._node("Identity", x, name="predictions")

    def _features(self) -> str:
        """Encoded, and with what stands in for missing numbers."""
        bundle, dtype = self._bundle, self._input_dtype
        if not any(column.categories for column in bundle.columns):
            self.inputs.append(_value("features", dtype, len(bundle.features)))
            if bundle.nulls != "mean":
                return "features"
            return self._filled("features", [column.mean or 0.0 for column in bundle.columns])
        parts = [self._column(column) for column in bundle.columns]
        return self._node("Concat", *parts, axis=1)

    def _column(self, column: InputColumn) -> str:
        if not column.categories:
            self.inputs.append(_value(column.name, self._input_dtype, 1))
            fills = self._bundle.nulls == "mean"
            return self._filled(column.name, [column.mean or 0.0]) if fills else column.name
        is_text = isinstance(column.categories[0], str)
        if not is_text and max(map(abs, map(int, column.categories))) >= 1 << 63:
            raise CannotRender(f"column {column.name!r} has categories that are no integers of 64 bits")
        self.inputs.append(_value(column.name, "str" if is_text else "int64", 1))
        kinds = self._constant(np.array([column.categories], object if is_text else np.int64))
        found = self._node("Equal", column.name, kinds)  # (rows, categories)
        encoded = self._node("Cast", found, to=_type(self._input_dtype))
        known = self._node("Cast", self._sum(encoded), to=_type("bool"))
        if self._bundle.nulls == "mean" and is_text:
            missing = self._node("Equal", column.name, self._constant(np.array([[""]], object)))
            known = self._node("Or", known, missing)
        return self._node("Where", known, encoded, self._number(np.nan, self._input_dtype))

    def _sum(self, x: str) -> str:
        return self._node("ReduceSum", x, self._constant(np.array([1])), keepdims=1)

    def _filled(self, x: str, means: Sequence[float]) -> str:
        fill = self._constant(np.array(means, self._input_dtype))
        return self._node("Where", self._node("IsNaN", x), fill, x)

    def _layer_norm(self, x: str, weight: str, bias: str) -> str:
        # Not by LayerNormalization, whose epsilon is float32 even among float64.
        distance = self._node("Sub", x, self._mean(x))
        variance = self._mean(self._node("Mul", distance, distance))
        deviation = self._node("Sqrt", self._node("Add", variance, self._number(1e-5)))
        return self._node("Add", self._node("Mul", self._node("Div", distance, deviation), weight), bias)

    def _mean(self, x: str) -> str:
        return self._node("ReduceMean", x, self._constant(np.array([1])), keepdims=1)

    def _activation(self, kind: str, x: str) -> str:
        match kind:
            case "relu" | "tanh" | "sigmoid":
                return self._node(kind.capitalize(), x)
            case "silu":
                return self._node("Mul", x, self._node("Sigmoid", x))
            case "leaky_relu":
                return self._node("Max", x, self._node("Mul", x, self._number(0.01)))
            case "elu":
                negative = self._node("Exp", self._node("Min", x, self._number(0)))
                below = self._node("Sub", negative, self._number(1))
                return self._node("Add", self._node("Max", x, self._number(0)), below)
            case _:
                return self._gelu(x)

    def _gelu(self, x: str) -> str:
        inner = self._node("Mul", x, self._number(0.5**0.5))
        # Of the error function ONNX Runtime has no float64.
        erf = self._node("Erf", inner) if self._bundle.dtype == "float32" else self._erf(inner)
        return self._node(
            "Mul", self._node("Mul", x, self._number(0.5)), self._node("Add", erf, self._number(1))
        )

    def _erf(self, x: str) -> str:
        """As `gradstream.bundle.functions.erf`."""
        node, number = self._node, self._number
        size = node("Min", node("Abs", x), number(6))
        square = node("Mul", size, size)
        inverse = node("Div", number(1), square)
        tail = node("Mul", inverse, self._ratio(ERF_LARGE, inverse))
        far = node("Div", node("Sub", number(np.pi**-0.5), tail), size)
        close = self._ratio(ERF_MIDDLE, size)
        complement = node("Where", node("Greater", size, number(4)), far, close)
        outer = node("Sub", number(1), node("Mul", node("Exp", node("Neg", square)), complement))
        inner = node("Mul", size, self._ratio(ERF_SMALL, square))
        is_small = node("LessOrEqual", size, number(0.46875))
        return node("Mul", node("Sign", x), node("Where", is_small, inner, outer))

    def _ratio(self, polynomials: Sequence[Sequence[float]], x: str) -> str:
        above, below = (self._polynomial(coefficients, x) for coefficients in polynomials)
        return self._node("Div", above, below)

    def _polynomial(self, coefficients: Sequence[float], x: str) -> str:
        """By Horner's scheme, from the highest power on."""
        value = self._number(coefficients[0])
        for coefficient in coefficients[1:]:
            value = self._node("Add", self._node("Mul", value, x), self._number(coefficient))
        return value

    def _number(self, value: float, dtype: str = "") -> str:
        return self._constant(np.array(value, dtype or self._bundle.dtype))

    def _constant(self, value: np.ndarray[Any, Any], name: str = "") -> str:
        from onnx import numpy_helper

        name = (name and f"parameter {name}") or f"constant {len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def _node(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = name or f"{kind} {len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name


def _type(dtype: str) -> int:
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _value(name: str, dtype: str, columns: int) -> ValueInfoProto:
    from onnx import helper

    return helper.make_tensor_value_info(name, _type(dtype), ["rows", columns])
