"""What a client can ask about models, written once for both clients."""

import hashlib
import io
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from gradstream.convert_models import model_info_of
from gradstream.errors import GradstreamError, InvalidArgumentError, ServerFaultError, UnavailableError
from gradstream.job import ModelVersion
from gradstream.methods import DELETE_MODEL, DOWNLOAD_MODEL, GET_MODEL, LIST_MODELS, MODEL_INFER
from gradstream.model import ModelFormat, ModelInfo
from gradstream.names import name_of
from gradstream.retry import Backoff
from gradstream.session import Session
from gradstream.tensor import refused
from gradstream.v1 import model_pb2
from gradstream.v1.model_service_pb2 import (
    DeleteModelRequest,
    DownloadModelRequest,
    GetModelRequest,
    ListModelsRequest,
)

if TYPE_CHECKING:
    from gradstream.bundle import Bundle
    from gradstream.bundle.table import Rows

PREDICTIONS, CLASSES = "predictions", "classes"
"""The outputs of models."""
PAGE_SIZE = 100
_ENDINGS: dict[str, ModelFormat] = {".zip": "bundle", ".onnx": "onnx", ".safetensors": "state_dict"}
_FORMATS: dict[str, model_pb2.ModelFormat.ValueType] = {
    name: model_pb2.ModelFormat.Value(f"MODEL_FORMAT_{name.upper()}") for name in get_args(ModelFormat)
}


@dataclass(frozen=True)
class File:
    """A model as it came from the server."""

    name: str
    content: bytes


class ModelOperations:
    """The calls of a client about models."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._columns: dict[tuple[str, int], tuple[str, ...]] = {}
        """Of the models that were asked by columns; a version has always the same."""

    async def get(self, name: str | ModelVersion, version: int | None) -> ModelInfo:
        """A model; the latest of its name, unless a version is given."""
        if isinstance(name, ModelVersion):
            version, name = version or name.version, name.name
        request = GetModelRequest(name=name_of("name", name), version=_version(version))
        return model_info_of(await self._session.call(GET_MODEL, request))

    async def page(self, token: str, name: str = "") -> tuple[list[ModelInfo], str]:
        """A page of models, and where the next one begins; empty when there is none."""
        request = ListModelsRequest(page_size=PAGE_SIZE, page_token=token, name=name_of("name", name))
        answer = await self._session.call(LIST_MODELS, request)
        return [model_info_of(each) for each in answer.models], answer.next_page_token

    async def delete(self, name: str, version: int | None, all_versions: bool = False) -> list[int]:
        """Delete a version of a model, or all of them; those that were."""
        request = DeleteModelRequest(
            name=name_of("name", name), version=_version(version), all_versions=all_versions
        )
        return list((await self._session.call(DELETE_MODEL, request)).versions)

    async def download(
        self, name: str, version: int, target: str | os.PathLike[str], form: ModelFormat | None
    ) -> Path:
        """Write a model to a file."""
        is_folder = await self._session.transport.run(os.path.isdir, target)
        form = form or ("bundle" if is_folder else _format_of(Path(target)))
        file = await self.fetch(name, version, form)
        path = Path(target, file.name) if is_folder else Path(target)
        return await self._session.transport.run(_write, path, file.content)

    async def load(self, name: str, version: int) -> "Bundle":
        """A model to predict with."""
        from gradstream.bundle import load

        file = await self.fetch(name, version, "bundle")
        content = io.BytesIO(file.content)
        return await self._session.transport.run(load, content, max(len(file.content), 1))

    async def predict(self, name: str, version: int, rows: "Rows", output: str = PREDICTIONS) -> NDArray[Any]:
        """An output of a model for rows, which travel piece by piece."""
        from gradstream import prediction

        given = prediction.read(rows)
        names = await self._columns_of(name, version) if prediction.needs_names(given) else ()
        answers = []
        for first, inputs in prediction.pieces(prediction.inputs_of(given, names)):
            request = prediction.request(name, version, inputs, output)
            try:
                answers.append(prediction.output_of(await self._session.call(MODEL_INFER, request)))
            except InvalidArgumentError as error:
                if not first:
                    raise
                raise InvalidArgumentError(
                    f"{error}; counted from row {first + 1}, for rows travel piece by piece",
                    code=error.code,
                    reason=error.reason,
                    violations=error.violations,
                ) from error
        return answers[0] if len(answers) == 1 else np.concatenate(answers)

    async def classify(self, name: str, version: int, rows: "Rows") -> NDArray[Any]:
        """The most probable class of each row."""
        try:
            return (await self.predict(name, version, rows, CLASSES))[:, 0]
        except InvalidArgumentError as error:
            if not any(violation.field.startswith("outputs") for violation in error.violations):
                raise
            what = "cannot be classified: the model predicts numbers; use predict"
            raise refused("rows", what, "INVALID_ROWS") from error

    async def _columns_of(self, name: str, version: int) -> tuple[str, ...]:
        """The columns that a model has learnt from; empty where they have no names."""
        key = name, version
        if key not in self._columns:
            spec = (await self._session.call(GET_MODEL, GetModelRequest(name=name, version=version))).spec
            columns = [column.name for column in spec.dataset.feature_columns]
            encoded = spec.dataset.encoded_features or spec.inline_data.feature_names
            self._columns[key] = tuple(columns or encoded)
        return self._columns[key]

    async def fetch(self, name: str, version: int, form: ModelFormat) -> File:
        """A model in a format, over connections that may break."""
        if form not in _FORMATS:
            what = f"is {form!r}; it has to be one of {', '.join(_FORMATS)}"
            raise refused("format", what, "INVALID_REQUEST")
        request = DownloadModelRequest(name=name, version=version, format=_FORMATS[form])
        backoff: Backoff | None = None
        while True:
            try:
                return await self._receive(request)
            except GradstreamError as error:
                backoff = backoff or self._session.backoff()
                await self._session.wait(backoff, error)

    async def _receive(self, request: DownloadModelRequest) -> File:
        stream = self._session.transport.open(DOWNLOAD_MODEL, request)
        try:
            content = bytearray()
            first = await stream.read()
            while (part := await stream.read()) is not None:
                content += part.chunk
        finally:
            stream.cancel()
        self._session.reached()
        if first is None or len(content) != first.file.size_bytes:
            raise UnavailableError("the stream ended before the file did", code="UNAVAILABLE")
        name = first.file.name
        if hashlib.sha256(content).hexdigest() != first.file.digest or Path(name).name != name:
            raise ServerFaultError(
                f"what has arrived is not the model: {name!r} with another SHA-256 than the server says",
                code="DATA_LOSS",
                reason="DIGEST_MISMATCH",
            )
        return File(name, bytes(content))


def _format_of(path: Path) -> ModelFormat:
    """What the ending of a file says. Raises InvalidArgumentError when it says nothing."""
    if form := _ENDINGS.get(path.suffix.lower()):
        return form
    endings = ", ".join(f"{ending} for {form}" for ending, form in _ENDINGS.items())
    what = f"is {path.name!r}, whose ending says no format: there are {endings}; or give a format"
    raise refused("target", what, "INVALID_REQUEST")


def _write(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        aside.write_bytes(content)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return path


def _version(value: object) -> int:
    """A version that can be sent; 0 for none."""
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 1 << 31:
        raise refused("version", f"is {value!r}; it has to be a whole number, from 1", "INVALID_REQUEST")
    return value
