"""The data set service: its methods convert, call the data set service, and convert."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, TypeAlias

import grpc

from gradstream.v1 import dataset_pb2, dataset_service_pb2, dataset_service_pb2_grpc
from gradstream_server.data.dataset import Column, Dataset
from gradstream_server.data.service import DatasetService
from gradstream_server.jobs.errors import InvalidRequest, NoRoom, Violation
from gradstream_server.rpc import pages
from gradstream_server.rpc.access import about, caller
from gradstream_server.rpc.chunks import Chunk
from gradstream_server.rpc.codec import timestamp

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class DatasetServicer(dataset_service_pb2_grpc.DatasetServiceServicer):
    """gradstream.v1.DatasetService."""

    def __init__(self, service: DatasetService) -> None:
        self._service = service

    async def UploadDataset(
        self, requests: AsyncIterator[dataset_service_pb2.UploadDatasetRequest | Chunk], context: Context
    ) -> dataset_pb2.Dataset:
        first = await anext(requests, None)
        if first is None or isinstance(first, Chunk) or not first.HasField("begin"):
            raise InvalidRequest([Violation("begin", "is missing; it has to be the first part of an upload")])
        begin = first.begin
        receiving = await self._service.begin(begin.upload, begin.name, begin.size_bytes, caller())
        try:
            async for request in requests:
                if isinstance(request, Chunk):
                    await receiving.add(request.offset, request.data)
                    continue
                match request.WhichOneof("part"):
                    case "chunk":
                        await receiving.add(request.chunk.offset, request.chunk.data)
                    case "end":
                        about(request.end.digest)
                        return to_message(await self._service.finish(receiving, request.end.digest))
                    case _:
                        what = "has to be `chunk` or `end`, once an upload is begun"
                        raise InvalidRequest([Violation("part", what)])
            raise InvalidRequest([Violation("end", "is missing; it has to be the last part of an upload")])
        except NoRoom:
            # Others need what room it has taken.
            await self._service.forget(receiving)
            raise
        finally:
            await receiving.leave()

    async def FindContent(
        self, request: dataset_service_pb2.FindContentRequest, context: Context
    ) -> dataset_service_pb2.FindContentResponse:
        digests, uploads = await self._service.find_content(request.size_bytes, request.head_digest, caller())
        return dataset_service_pb2.FindContentResponse(
            digests=digests,
            uploads=[
                dataset_service_pb2.Upload(
                    upload=record.id, committed_bytes=received.size, committed_digest=received.digest
                )
                for record, received in uploads
            ],
        )

    async def GetDataset(
        self, request: dataset_service_pb2.GetDatasetRequest, context: Context
    ) -> dataset_pb2.Dataset:
        return to_message(self._service.get(_dataset(request), caller()))

    async def ListDatasets(
        self, request: dataset_service_pb2.ListDatasetsRequest, context: Context
    ) -> dataset_service_pb2.ListDatasetsResponse:
        page, cursor = self._service.page(
            _cursor(request.page_token), pages.size(request.page_size), caller()
        )
        return dataset_service_pb2.ListDatasetsResponse(
            datasets=[to_message(dataset, categories=False) for dataset in page],
            next_page_token=f"{cursor[0].isoformat()}_{cursor[1]}" if cursor else "",
        )

    async def DeleteDataset(
        self, request: dataset_service_pb2.DeleteDatasetRequest, context: Context
    ) -> dataset_service_pb2.DeleteDatasetResponse:
        await self._service.delete(_dataset(request), caller())
        return dataset_service_pb2.DeleteDatasetResponse()


def to_message(dataset: Dataset, categories: bool = True) -> dataset_pb2.Dataset:
    """A data set, with the categories of its columns or without."""
    return dataset_pb2.Dataset(
        digest=dataset.digest,
        name=dataset.name,
        size_bytes=dataset.size_bytes,
        rows=dataset.table.rows,
        columns=[_column(column, categories) for column in dataset.table.columns],
        create_time=timestamp(dataset.create_time),
        stored_bytes=dataset.table.stored_bytes,
    )


def _column(column: Column, categories: bool) -> dataset_pb2.Column:
    return dataset_pb2.Column(
        name=column.name,
        type=dataset_pb2.ColumnType.Value(f"COLUMN_TYPE_{column.type}"),
        arrow_type=column.arrow_type,
        nulls=column.nulls,
        first_null_row=column.first_null_row,
        min=column.min,
        max=column.max,
        mean=column.mean,
        first_infinite_row=column.first_infinite_row,
        categories=column.categories if categories else (),
        first_text_row=column.first_text_row,
        first_text=column.first_text,
    )


def _dataset(
    request: dataset_service_pb2.GetDatasetRequest | dataset_service_pb2.DeleteDatasetRequest,
) -> str:
    if not request.dataset:
        raise InvalidRequest([Violation("dataset", "is missing; it has to be the digest of a data set")])
    about(request.dataset)
    return request.dataset


def _cursor(token: str) -> tuple[datetime, str] | None:
    """Where a page token goes on; None for the first page."""
    if not token:
        return None
    time, _, digest = token.partition("_")
    try:
        return datetime.fromisoformat(time).astimezone(UTC), digest
    except ValueError:
        what = f"is {token!r}; it has to be the next_page_token of the page before, or empty"
        raise InvalidRequest([Violation("page_token", what)]) from None
