"""Uploads by plain stubs: whole ones, and ones that go wrong somewhere."""

import hashlib
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
from tests.integration.server.calls import TIMEOUT_S, Calls

from gradstream.v1 import dataset_pb2, dataset_service_pb2
from gradstream.v1.dataset_service_pb2 import UploadBegin, UploadChunk, UploadDatasetRequest, UploadEnd

MIB = 1 << 20


def new_id() -> str:
    return str(uuid.uuid4())


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def begin(content: bytes, name: str = "t.csv", upload: str = "", **fields: Any) -> UploadDatasetRequest:
    fields = {"upload": upload or new_id(), "name": name, "size_bytes": len(content)} | fields
    return UploadDatasetRequest(begin=UploadBegin(**fields))


def chunk(offset: int, data: bytes) -> UploadDatasetRequest:
    return UploadDatasetRequest(chunk=UploadChunk(offset=offset, data=data))


def end(content: bytes) -> UploadDatasetRequest:
    return UploadDatasetRequest(end=UploadEnd(digest=sha256(content)))


def chunks(
    content: bytes, start: int = 0, stop: int | None = None, size: int = MIB
) -> Iterator[UploadDatasetRequest]:
    stop = len(content) if stop is None else stop
    for offset in range(start, stop, size):
        yield chunk(offset, content[offset : min(offset + size, stop)])


def parts(
    content: bytes, name: str = "t.csv", upload: str = "", start: int = 0, size: int = MIB
) -> Iterator[UploadDatasetRequest]:
    """All of an upload."""
    yield begin(content, name, upload)
    yield from chunks(content, start, size=size)
    yield end(content)


def send(
    calls: Calls, requests: Iterator[UploadDatasetRequest] | list[UploadDatasetRequest]
) -> dataset_pb2.Dataset:
    return calls.datasets.UploadDataset(iter(requests), timeout=TIMEOUT_S)


def put(calls: Calls, content: bytes, name: str = "t.csv", **options: Any) -> dataset_pb2.Dataset:
    """Upload a file."""
    return send(calls, parts(content, name, **options))


def attempt(calls: Calls, content: bytes, **options: Any) -> dataset_pb2.Dataset | grpc.StatusCode:
    """Upload a file, or say how it was refused."""
    try:
        return put(calls, content, **options)
    except grpc.RpcError as error:
        return error.code()


def find(calls: Calls, content: bytes) -> dataset_service_pb2.FindContentResponse:
    """What the server has of a file."""
    request = dataset_service_pb2.FindContentRequest(
        size_bytes=len(content), head_digest=sha256(content[:MIB])
    )
    return calls.datasets.FindContent(request, timeout=TIMEOUT_S)


def digests(calls: Calls) -> list[str]:
    """Of all data sets, newest first."""
    request = dataset_service_pb2.ListDatasetsRequest(page_size=1000)
    return [each.digest for each in calls.datasets.ListDatasets(request, timeout=TIMEOUT_S).datasets]


def delete(calls: Calls, dataset: str) -> None:
    calls.datasets.DeleteDataset(dataset_service_pb2.DeleteDatasetRequest(dataset=dataset), timeout=TIMEOUT_S)


class Hanging:
    """An upload that stops somewhere and stays open."""

    def __init__(self, calls: Calls, requests: list[UploadDatasetRequest]) -> None:
        self._over = threading.Event()

        def some() -> Iterator[UploadDatasetRequest]:
            yield from requests
            self._over.wait(TIMEOUT_S)

        self.call: grpc.Future = calls.datasets.UploadDataset.future(some(), timeout=TIMEOUT_S)

    def cut(self) -> None:
        """Break the connection off."""
        self.call.cancel()
        self._over.set()
