"""What a client can ask about data sets, written once for both clients."""

from contextlib import ExitStack

from gradstream.convert import dataset_of
from gradstream.dataset import Dataset
from gradstream.methods import DELETE_DATASET, GET_DATASET, LIST_DATASETS
from gradstream.session import Session
from gradstream.source import Source, open_source
from gradstream.upload import ProgressCallback, Upload
from gradstream.v1.dataset_service_pb2 import DeleteDatasetRequest, GetDatasetRequest, ListDatasetsRequest

PAGE_SIZE = 100


class DatasetOperations:
    """The calls of a client about data sets."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def upload(self, source: Source, name: str | None, on_progress: ProgressCallback | None) -> Dataset:
        """Send what the server does not have yet of a table."""
        with ExitStack() as stack:
            opened = open_source(source, name)
            full_name, content = await self._session.transport.run(stack.enter_context, opened)
            return dataset_of(await Upload(self._session, full_name, content, on_progress).run())

    async def get(self, dataset: str) -> Dataset:
        """A data set."""
        return dataset_of(await self._session.call(GET_DATASET, GetDatasetRequest(dataset=dataset)))

    async def page(self, token: str) -> tuple[list[Dataset], str]:
        """A page of data sets, and where the next one begins; empty when there is none."""
        request = ListDatasetsRequest(page_size=PAGE_SIZE, page_token=token)
        answer = await self._session.call(LIST_DATASETS, request)
        return [dataset_of(each) for each in answer.datasets], answer.next_page_token

    async def delete(self, dataset: str) -> None:
        """Delete a data set."""
        await self._session.call(DELETE_DATASET, DeleteDatasetRequest(dataset=dataset))
