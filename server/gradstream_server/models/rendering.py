"""The formats that a model can be taken away in."""

from collections.abc import Callable

from gradstream.bundle import Bundle
from gradstream.bundle.tensors import encode
from gradstream_server.models.onnx_graph import onnx_of

FORMATS: dict[str, Callable[[Bundle], bytes]] = {
    "bundle": Bundle.to_bytes,
    "onnx": onnx_of,
    "state_dict": lambda bundle: encode(bundle.parameters),
}
"""By name: a zip archive, an ONNX graph, and safetensors that `load_state_dict` takes."""


def render(bundle: Bundle, form: str) -> bytes:
    """A model in one of FORMATS; the same model gives the same bytes.

    Raises:
        KeyError: there is no such format.
        CannotRender: it cannot be had in this format, here or at all; the text says why.
    """
    return FORMATS[form](bundle)
