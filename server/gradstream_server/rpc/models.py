"""The model service: its methods convert, call the model service, and convert."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any, TypeAlias, cast

import grpc

from gradstream.v1 import event_pb2, model_pb2, model_service_pb2, model_service_pb2_grpc
from gradstream_server.jobs.errors import InvalidRequest, Violation
from gradstream_server.jobs.model import Model
from gradstream_server.models.service import ModelService
from gradstream_server.rpc import pages, specs
from gradstream_server.rpc.access import about, caller
from gradstream_server.rpc.codec import timestamp

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_CHUNK_BYTES = 1 << 20
_FORMATS = {
    # By what rendering.FORMATS calls them, and the endings of their files.
    model_pb2.MODEL_FORMAT_UNSPECIFIED: ("bundle", "zip"),
    model_pb2.MODEL_FORMAT_BUNDLE: ("bundle", "zip"),
    model_pb2.MODEL_FORMAT_ONNX: ("onnx", "onnx"),
    model_pb2.MODEL_FORMAT_STATE_DICT: ("state_dict", "safetensors"),
}


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """gradstream.v1.ModelService."""

    def __init__(self, service: ModelService) -> None:
        self._service = service

    async def GetModel(self, request: model_service_pb2.GetModelRequest, context: Context) -> model_pb2.Model:
        return to_message(await self._service.get(_name(request), _version(request), caller()))

    async def ListModels(
        self, request: model_service_pb2.ListModelsRequest, context: Context
    ) -> model_service_pb2.ListModelsResponse:
        page, cursor = await self._service.page(
            request.name, pages.cursor(request.page_token), pages.size(request.page_size), caller()
        )
        return model_service_pb2.ListModelsResponse(
            models=[to_listed(model) for model in page], next_page_token=pages.token(cursor)
        )

    async def DeleteModel(
        self, request: model_service_pb2.DeleteModelRequest, context: Context
    ) -> model_service_pb2.DeleteModelResponse:
        name, version = _name(request), _version(request)
        if bool(version) == request.all_versions:
            what = f"is {version}; it has to be at least 1, or 0 with all_versions"
            raise InvalidRequest([Violation("version", what)])
        versions = await self._service.delete(name, version, caller())
        return model_service_pb2.DeleteModelResponse(versions=versions)

    async def DownloadModel(
        self, request: model_service_pb2.DownloadModelRequest, context: Context
    ) -> AsyncIterator[model_service_pb2.DownloadModelResponse]:
        if request.format not in _FORMATS:
            allowed = ", ".join(model_pb2.ModelFormat.keys()[1:])
            raise InvalidRequest([Violation("format", f"is {request.format}; it has to be one of {allowed}")])
        form, ending = _FORMATS[request.format]
        model = await self._service.get(_name(request), _version(request), caller())
        content = memoryview(await self._service.render(model, form))
        response = model_service_pb2.DownloadModelResponse
        file = model_service_pb2.ModelFile(
            model=event_pb2.ModelVersion(name=model.name, version=model.version),
            name=f"{model.name}-{model.version}.{ending}",
            size_bytes=len(content),
            digest=hashlib.sha256(content).hexdigest(),
        )
        yield _encoded(response(file=file))
        for start in range(0, len(content), _CHUNK_BYTES):
            yield _encoded(response(chunk=bytes(content[start : start + _CHUNK_BYTES])))


def _encoded(
    response: model_service_pb2.DownloadModelResponse,
) -> model_service_pb2.DownloadModelResponse:
    # The guard sends bytes as they are.
    return cast(model_service_pb2.DownloadModelResponse, response.SerializeToString())


def to_message(model: Model) -> model_pb2.Model:
    """A model."""
    message = model_pb2.Model(
        name=model.name, version=model.version, job=model.job, create_time=timestamp(model.create_time)
    )
    message.spec.ParseFromString(model.spec)
    message.result.ParseFromString(model.outcome)
    return message


def to_listed(model: Model) -> model_pb2.Model:
    """A model for a list: without what may be large."""
    message = to_message(model)
    specs.shorten(message.spec)
    message.result.ClearField("scaling")
    return message


def _name(
    request: model_service_pb2.GetModelRequest
    | model_service_pb2.DeleteModelRequest
    | model_service_pb2.DownloadModelRequest,
) -> str:
    if not request.name:
        raise InvalidRequest([Violation("name", "is missing; it has to be the name of a model")])
    about(request.name)
    return request.name


def _version(
    request: model_service_pb2.GetModelRequest
    | model_service_pb2.DeleteModelRequest
    | model_service_pb2.DownloadModelRequest,
) -> int:
    if request.version < 0:
        what = f"is {request.version}; it has to be at least 1, or 0 for the latest"
        raise InvalidRequest([Violation("version", what)])
    return request.version
