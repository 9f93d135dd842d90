"""The Open Inference Protocol: its methods convert, ask a model, and convert."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import grpc

import gradstream
from gradstream_server.inference import open_inference_pb2 as pb
from gradstream_server.inference.open_inference_pb2_grpc import GRPCInferenceServiceServicer
from gradstream_server.jobs.errors import InvalidRequest, Violation
from gradstream_server.models.served import Served, ServedModel, ServedModule
from gradstream_server.models.serving import Serving
from gradstream_server.models.tensor import Tensor
from gradstream_server.rpc import contents
from gradstream_server.rpc.access import about, caller

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_LATEST = ("", "latest")
_MOST_DIGITS = 10
_NOT_KNOWN = {
    "sequence_id": "asks for a sequence of requests, of which models here know nothing",
    "shared_memory_region": "asks for shared memory, which is not known here; send the values",
    "classification": "asks for classes of an output; models of classes have an output 'classes'",
}
"""Parameters without which a request means something else."""


class InferenceServicer(GRPCInferenceServiceServicer):
    """inference.GRPCInferenceService."""

    def __init__(self, serving: Serving, is_ready: Callable[[], bool]) -> None:
        """
        Args:
            is_ready: whether the server is not stopping.
        """
        self._serving = serving
        self._is_ready = is_ready

    async def ServerLive(self, request: pb.ServerLiveRequest, context: Context) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: pb.ServerReadyRequest, context: Context) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self._is_ready())

    async def ModelReady(self, request: pb.ModelReadyRequest, context: Context) -> pb.ModelReadyResponse:
        name, version = _name("name", request.name), _version("version", request.version)
        return pb.ModelReadyResponse(ready=self._is_ready() and await self._serving.is_ready(name, version))

    async def ServerMetadata(
        self, request: pb.ServerMetadataRequest, context: Context
    ) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(
            name="gradstream", version=gradstream.__version__, extensions=["model_repository"]
        )

    async def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: Context
    ) -> pb.ModelMetadataResponse:
        name, version = _name("name", request.name), _version("version", request.version)
        model = await self._serving.get(name, version)
        return pb.ModelMetadataResponse(
            name=request.name,
            versions=[str(each) for each in await self._serving.versions(name)],
            platform=model.platform,
            inputs=[contents.to_metadata(info) for info in model.signature.inputs],
            outputs=[contents.to_metadata(info) for info in model.signature.outputs],
        )

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Context) -> pb.ModelInferResponse:
        name = _name("model_name", request.model_name)
        model = await self._serving.get(name, _version("model_version", request.model_version))
        _check_parameters(request)
        if isinstance(model, ServedModule):
            inputs = await self._serving.run(lambda: contents.inputs_of(request))
            return _response(request, model, await model.infer(inputs, _wanted(request)))
        if _is_quick(request, model):
            return _answer(request, model)
        return await self._serving.run(lambda: _answer(request, model))

    async def RepositoryIndex(
        self, request: pb.RepositoryIndexRequest, context: Context
    ) -> pb.RepositoryIndexResponse:
        _check_repository(request)
        entries = await self._serving.index(caller())
        return pb.RepositoryIndexResponse(
            models=[
                pb.RepositoryIndexResponse.ModelIndex(
                    name=caller().called(entry.name),
                    version=str(entry.version),
                    state="UNAVAILABLE" if entry.reason else "READY",
                    reason=entry.reason,
                )
                for entry in entries
                if not (request.ready and entry.reason)
            ]
        )

    async def RepositoryModelLoad(
        self, request: pb.RepositoryModelLoadRequest, context: Context
    ) -> pb.RepositoryModelLoadResponse:
        _check_repository(request)
        for name in request.parameters:
            what = f"has {name!r}; there are none, for models are as they were trained"
            raise InvalidRequest([Violation("parameters", what)])
        await self._serving.load(*_name_and_version(request.model_name))
        return pb.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(
        self, request: pb.RepositoryModelUnloadRequest, context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        _check_repository(request)
        await self._serving.unload(*_name_and_version(request.model_name))
        return pb.RepositoryModelUnloadResponse()


_QUICK = 1 << 18
"""Values, and rows times what is done for each: about half a millisecond, so that others hardly wait."""


def _is_quick(request: pb.ModelInferRequest, model: ServedModel) -> bool:
    """Whether to answer takes less than to hand it to another thread would."""
    rows = 1
    for tensor in request.inputs:
        shape = tensor.shape
        # What is of a wrong shape has to be read before that is found.
        if len(shape) > 2 or (len(shape) == 2 and shape[0] * shape[1] > _QUICK):
            return False
        rows = max(rows, *shape[:1])
    return rows * (model.numbers + 32 * len(request.inputs)) <= _QUICK


def _answer(request: pb.ModelInferRequest, model: ServedModel) -> pb.ModelInferResponse:
    return _response(request, model, model.infer(contents.inputs_of(request), _wanted(request)))


def _wanted(request: pb.ModelInferRequest) -> list[str]:
    return [output.name for output in request.outputs]


def _response(
    request: pb.ModelInferRequest, model: Served, outputs: Sequence[Tensor]
) -> pb.ModelInferResponse:
    version = str(model.version)
    response = pb.ModelInferResponse(model_name=request.model_name, model_version=version, id=request.id)
    contents.fill(response, outputs)
    return response


def _check_parameters(request: pb.ModelInferRequest) -> None:
    """Refuse what would make another request of it; all other parameters are not looked at."""
    _refuse_unknown("", request.parameters)
    for i, tensor in enumerate(request.inputs):
        if tensor.parameters:
            _refuse_unknown(f"inputs[{i}].", tensor.parameters)
    for i, output in enumerate(request.outputs):
        if output.parameters:
            _refuse_unknown(f"outputs[{i}].", output.parameters)


def _refuse_unknown(where: str, parameters: Iterable[str]) -> None:
    for name in parameters:
        if what := _NOT_KNOWN.get(name):
            raise InvalidRequest([Violation(f"{where}parameters.{name}", what)])


def _check_repository(
    request: pb.RepositoryIndexRequest | pb.RepositoryModelLoadRequest | pb.RepositoryModelUnloadRequest,
) -> None:
    if request.repository_name:
        what = f"is {request.repository_name!r}; there is one repository, without a name: leave it empty"
        raise InvalidRequest([Violation("repository_name", what)])


def _name_and_version(text: str) -> tuple[str, int]:
    """NAME for all versions of a model, or NAME:VERSION."""
    name, _, version = text.partition(":")
    return _name("model_name", name), _version("model_name", version)


def _name(field: str, name: str) -> str:
    """What a model is kept as that the caller calls so."""
    if not name:
        raise InvalidRequest([Violation(field, "is missing; it has to be the name of a model")])
    about(name)
    return caller().key(name)


def _version(field: str, version: str) -> int:
    """A version; 0 for the latest."""
    if version in _LATEST:
        return 0
    if version.isascii() and version.isdecimal() and len(version) <= _MOST_DIGITS and int(version):
        return int(version)
    what = f"is {version!r}; it has to be a whole number from 1, or empty for the latest"
    raise InvalidRequest([Violation(field, what)])
