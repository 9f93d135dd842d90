"""Tables that people have reach a real server whole and once, whatever the network does."""

import asyncio
import gzip
import io
import os
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tests.processes import wait_until
from tests.proxy import cutting_proxy
from tests.server import RunningServer, running_server

from gradstream import (
    AsyncClient,
    Client,
    ColumnType,
    Dataset,
    GradstreamError,
    InvalidArgumentError,
    NotFoundError,
)
from gradstream.v1 import dataset_service_pb2, dataset_service_pb2_grpc

MIB = 1 << 20
ROWS = 200_000


def random_array() -> np.ndarray:
    """Some MiB that no other test has uploaded."""
    return np.frombuffer(os.urandom(8 * ROWS * 5), np.int64).reshape(ROWS, 5)


def file_with(path: Path, array: np.ndarray) -> str:
    """An array in a file, whose digest is returned."""
    np.save(path, array)
    return sha256(path.read_bytes()).hexdigest()


def facts(dataset: Dataset) -> list[tuple[str, ColumnType, float | None]]:
    return [(column.name, column.type, column.mean) for column in dataset.columns]


def committed(server: RunningServer, path: Path) -> int:
    """Bytes that the server has of an upload of this file."""
    content = path.read_bytes()
    request = dataset_service_pb2.FindContentRequest(
        size_bytes=len(content), head_digest=sha256(content[:MIB]).hexdigest()
    )
    with grpc.insecure_channel(server.address) as channel:
        found = dataset_service_pb2_grpc.DatasetServiceStub(channel).FindContent(request)
    return max((upload.committed_bytes for upload in found.uploads), default=0)


NUMBERS = [("a", ColumnType.NUMBER, 2.0), ("b", ColumnType.NUMBER, 3.5)]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "t.parquet", "t.arrow", "t.arrows", "t.npz"])
def test_files_of_every_kind(server: RunningServer, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    text = b"a,b\n1,2.5\n3,4.5\n"
    if name == "t.npz":
        np.savez(path, a=np.array([1, 3]), b=np.array([2.5, 4.5]))
    elif name.endswith((".csv", ".tsv")):
        path.write_bytes(text if name == "t.csv" else text.replace(b",", b"\t"))
    elif name == "t.csv.gz":
        path.write_bytes(gzip.compress(text))
    else:
        write_arrow(path)
    with Client(server.address) as client:
        dataset = client.upload(path)
        assert dataset.digest == sha256(path.read_bytes()).hexdigest()
        assert (dataset.name, dataset.size_bytes, dataset.rows) == (name, path.stat().st_size, 2)
        assert facts(dataset) == NUMBERS
        assert client.dataset(dataset.digest[:12]) == dataset


def write_arrow(path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [1, 3], "b": [2.5, 4.5]})
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow.parquet").write_table(table, path)
        return
    make = pa.ipc.new_stream if path.suffix == ".arrows" else pa.ipc.new_file
    with make(path, table.schema) as writer:
        writer.write_table(table)


def test_arrays_and_files_in_memory(server: RunningServer) -> None:
    with Client(server.address) as client:
        array = np.array([[1, 2.5], [3, 4.5]])
        assert [column.mean for column in client.upload(array).columns] == [2.0, 3.5]
        assert client.upload(array).name == "array.npy"
        assert facts(client.upload({"a": [1, 3], "b": [2.5, 4.5]})) == NUMBERS
        assert facts(client.upload(io.BytesIO(b"a,b\n1,2.5\n3,4.5\n"), name="memory.csv")) == NUMBERS


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_tables_of_libraries(server: RunningServer, library: str) -> None:
    module: Any = pytest.importorskip(library)
    pytest.importorskip("pyarrow")
    make = module.table if library == "pyarrow" else module.DataFrame
    table = make({"a": [1, 3], "kind": ["p", "q"], "b": [2.5, 4.5]})
    with Client(server.address) as client:
        dataset = client.upload(table, name=library)
        assert dataset.name == f"{library}.arrows"
        assert facts(dataset) == [NUMBERS[0], ("kind", ColumnType.TEXT, None), NUMBERS[1]]
        assert dataset.columns[1].categories == ("p", "q")
        if library == "polars":
            kinds = table.with_columns(module.col("kind").cast(module.Categorical))
            assert client.upload(kinds).columns[1].categories == ("p", "q")
        if library == "pandas":
            assert facts(client.upload(table[["a", "b"]].set_axis([5, 9]))) == NUMBERS


def test_the_same_file_again_is_not_sent(server: RunningServer, tmp_path: Path) -> None:
    digest = file_with(tmp_path / "table.npy", random_array())
    told: list[tuple[int, int]] = []
    with cutting_proxy(server.address) as proxy, Client(proxy.address) as client:
        first = client.upload(tmp_path / "table.npy")
        assert first.digest == digest
        assert proxy.sent > first.size_bytes
        before = proxy.sent
        again = client.upload(tmp_path / "table.npy", name="other.npy", on_progress=lambda *n: told.append(n))
        assert again == first
        assert proxy.sent - before < 2_000
        assert not told


@pytest.mark.parametrize("seed", range(4))
def test_an_upload_that_is_cut_goes_on(server: RunningServer, tmp_path: Path, seed: int) -> None:
    chance = np.random.default_rng(seed)
    array = random_array()
    digest = file_with(tmp_path / "table.npy", array)
    size = (tmp_path / "table.npy").stat().st_size
    retries: list[GradstreamError] = []
    cuts = [round(limit) for limit in size ** chance.uniform(0.5, 1.0, 6)]
    with (
        cutting_proxy(server.address, client_limits=cuts) as proxy,
        Client(proxy.address, on_retry=lambda error, _: retries.append(error)) as client,
    ):
        dataset = client.upload(tmp_path / "table.npy")
        assert proxy.cuts >= 2
    assert retries
    assert (dataset.digest, dataset.rows) == (digest, ROWS)
    assert [column.max for column in dataset.columns] == array.max(axis=0).astype(float).tolist()


def test_an_upload_that_is_cut_goes_on_for_asyncio(server: RunningServer, tmp_path: Path) -> None:
    digest = file_with(tmp_path / "table.npy", random_array())
    told: list[int] = []

    async def upload(address: str) -> Dataset:
        async with AsyncClient(address) as client:
            dataset = await client.upload(
                tmp_path / "table.npy", on_progress=lambda sent, _: told.append(sent)
            )
            assert await client.dataset(digest[:10]) == dataset
            assert digest in [each.digest async for each in client.datasets()]
            await client.delete_dataset(digest)
            with pytest.raises(NotFoundError):
                await client.dataset(digest)
            with pytest.raises(InvalidArgumentError, match="row 1 has 1 value"):
                await client.upload(io.BytesIO(b"a,b\n1\n"), name="ragged.csv")
            return dataset

    with cutting_proxy(server.address, client_limits=[3 * MIB, 500, 2 * MIB]) as proxy:
        assert asyncio.run(upload(proxy.address)).digest == digest
        assert proxy.cuts == 3
    assert told[-1] == (tmp_path / "table.npy").stat().st_size


def test_one_that_is_left_is_gone_on_with_by_another_client(server: RunningServer, tmp_path: Path) -> None:
    digest = file_with(tmp_path / "table.npy", random_array())
    size = (tmp_path / "table.npy").stat().st_size
    with cutting_proxy(server.address) as proxy, Client(proxy.address, patience_s=0) as client:

        def cut(sent: int, _size: int) -> None:
            if sent == 5 * MIB:
                wait_until(lambda: committed(server, tmp_path / "table.npy") >= MIB, "a chunk at the server")
                proxy.cut()

        with pytest.raises(GradstreamError):
            client.upload(tmp_path / "table.npy", on_progress=cut)
    begun: list[int] = []
    with cutting_proxy(server.address) as proxy, Client(proxy.address) as client:
        dataset = client.upload(tmp_path / "table.npy", on_progress=lambda sent, _: begun.append(sent))
        assert dataset.digest == digest
        assert begun[0] >= MIB
        assert proxy.sent < size - begun[0] + MIB


def test_a_server_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    digest = file_with(tmp_path / "table.npy", random_array())
    places: list[int] = []
    with running_server(tmp_path / "data") as first, cutting_proxy(first.address) as proxy:

        def kill_in_the_middle(sent: int, _size: int) -> None:
            places.append(sent)
            if len(places) == 5:
                wait_until(received, "a chunk on the disk")
                first.process.kill()
                first.process.wait()
                threading.Thread(target=restart).start()

        def received() -> bool:
            return any(path.stat().st_size >= MIB for path in (tmp_path / "data").rglob("content"))

        again: list[Any] = []
        restarted = threading.Event()

        def restart() -> None:
            server = running_server(tmp_path / "data", address=first.address)
            again.append((server, server.__enter__()))
            restarted.set()

        try:
            with Client(proxy.address) as client:
                dataset = client.upload(tmp_path / "table.npy", on_progress=kill_in_the_middle)
                assert dataset.digest == digest
                assert client.dataset(digest) == dataset
            assert restarted.wait(30)
        finally:
            for server, _ in again:
                server.__exit__(None, None, None)
    assert len(set(places)) < len(places), "it went on where the server was"
    assert min(places[5:]) > 0, "and not from the beginning"


def test_a_file_that_changes_while_it_is_uploaded(server: RunningServer, tmp_path: Path) -> None:
    path = tmp_path / "table.npy"
    digest = file_with(path, random_array())

    def change(sent: int, _size: int) -> None:
        if sent == 2 * MIB:
            with path.open("ab") as file:
                file.write(b"more")

    with Client(server.address) as client:
        with pytest.raises(
            InvalidArgumentError, match=r"table\.npy has changed while it was uploaded"
        ) as raised:
            client.upload(path, on_progress=change)
        assert raised.value.reason == "FILE_CHANGED"
        with pytest.raises(NotFoundError):
            client.dataset(digest)


def test_what_is_raised_while_it_is_uploaded_comes_out(server: RunningServer) -> None:
    def stop(sent: int, _size: int) -> None:
        if sent:
            raise KeyboardInterrupt

    with Client(server.address) as client:
        with pytest.raises(KeyboardInterrupt):
            client.upload(random_array(), on_progress=stop)
        assert client.upload(np.arange(3)).rows == 3


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        (b"a,b\n1\n", "t.csv", "row 1 has 1 value, the header has 2"),
        (b"no parquet at all", "t.parquet", "Parquet"),
        (b"a,b\n1,2\n", "t.xls", "name: is 't.xls', whose ending says no format"),
        (b"a,b\n1,2\n", "../t.csv", "without folders"),
        (b"a,b\n1,\xff\n", "t.csv", "UTF-8"),
    ],
)
def test_what_is_no_table_is_refused_and_leaves_nothing(
    server: RunningServer, content: bytes, name: str, text: str
) -> None:
    with Client(server.address) as client:
        before = [each.digest for each in client.datasets()]
        with pytest.raises(InvalidArgumentError, match=text):
            client.upload(io.BytesIO(content), name=name)
        assert [each.digest for each in client.datasets()] == before


def test_the_same_file_twice_at_once(server: RunningServer, tmp_path: Path) -> None:
    digest = file_with(tmp_path / "table.npy", random_array())
    found: list[str] = []

    def upload() -> None:
        with Client(server.address) as client:
            found.append(client.upload(tmp_path / "table.npy").digest)

    threads = [threading.Thread(target=upload) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert found == [digest] * 4


def test_classes_of_a_column_of_text(server: RunningServer) -> None:
    """A user would have to number the kinds of things in the file, and remember how."""
    content = "size,kind\n" + "\n".join(
        f"{i % 10},{'large' if i % 10 > 4 else 'a small one'}" for i in range(40)
    )
    with Client(server.address) as client:
        dataset = client.upload(io.BytesIO(content.encode()), name="kinds.csv")
        for model in ("logistic", "softmax"):
            run = client.train(
                trainer="module",
                dataset=dataset,
                target_columns="kind",
                model=model,
                standardize=True,
                learning_rate=2.0,
                predict_rows=[[0.0], [9.0]],
            )
            predictions = run.result().predictions
            spec = client.get(run.job).spec
            assert spec.classes == ("a small one", "large")
            assert spec.parts["loss"].name == ("log_loss" if model == "logistic" else "cross_entropy")
            assert predictions is not None
            assert predictions[:, -1].round().tolist() == [0, 1]
            assert predictions.shape == (2, 1 if model == "logistic" else 2)
            assert client.replay(run.job).result().same
        with pytest.raises(InvalidArgumentError, match="column 'size' has 10 classes"):
            client.train(dataset=dataset, target_columns="size", feature_columns=["size"], model="logistic")


def test_delete(server: RunningServer) -> None:
    with Client(server.address) as client:
        dataset = client.upload(random_array()[:5])
        client.delete_dataset(dataset.digest[:20])
        with pytest.raises(NotFoundError, match="there is no data set"):
            client.delete_dataset(dataset.digest)
