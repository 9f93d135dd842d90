"""Uploads to a real server: whatever goes wrong is one clear error, and leaves nothing behind."""

import gzip
import io
import os
import random
import signal
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tests.disk import small_disk
from tests.integration.server.calls import TIMEOUT_S, Calls, calls_to, reference, refusal
from tests.integration.server.uploads import (
    MIB,
    Hanging,
    attempt,
    begin,
    chunk,
    chunks,
    delete,
    digests,
    end,
    find,
    new_id,
    parts,
    put,
    send,
    sha256,
)
from tests.processes import descendants, parent, wait_for_end, wait_until
from tests.server import RunningServer, running_server

from gradstream.v1 import event_pb2, spec_pb2, system_service_pb2
from gradstream.v1.dataset_service_pb2 import (
    FindContentRequest,
    GetDatasetRequest,
    ListDatasetsRequest,
    UploadDatasetRequest,
    UploadEnd,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
ABORTED = grpc.StatusCode.ABORTED
LONG_ROWS = 1_500_000
LONG_TABLE = b"a,b,y\n" + b"1,2.5,3\n" * LONG_ROWS
"""It takes a while to read."""
GOOD = b"a,b,y\n1,2,3\n2,1,3\n3,5,8\n"


def unique() -> bytes:
    """A small table that no other test has uploaded."""
    return b"a,b,y\n1,2,3\n2,1,3\n" + str(random.getrandbits(30)).encode() + b",5,8\n"


def array(mib: int = 6) -> tuple[np.ndarray, bytes]:
    """Random numbers, and the file of them."""
    numbers = np.frombuffer(os.urandom(mib * MIB), "u1").reshape(-1, 8)
    content = io.BytesIO()
    np.save(content, numbers)
    return numbers, content.getvalue()


def selection(digest: str, **fields: Any) -> spec_pb2.Spec:
    return reference(dataset=spec_pb2.Selection(digest=digest, targets=["y"]), **fields)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of these tests alone, which look at all that is left in its folders."""
    with running_server(tmp_path_factory.mktemp("datasets") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def calls(server: RunningServer) -> Iterator[Calls]:
    """Its services."""
    with calls_to(server.address) as calls:
        yield calls


def left_over(server: RunningServer) -> list[str]:
    """What is kept of uploads, and of tables that are being made."""
    folders = [server.data_dir / "uploads", server.data_dir / "datasets"]
    return [path.name for folder in folders for path in folder.iterdir() if len(path.name) != 64]


def test_a_data_set_is_told_and_found_by_the_beginning_of_its_digest(calls: Calls) -> None:
    content = unique()
    made = put(calls, content, "my.houses.csv")
    assert (made.digest, made.name, made.size_bytes, made.rows) == (
        sha256(content),
        "my.houses.csv",
        len(content),
        3,
    )
    assert [column.name for column in made.columns] == ["a", "b", "y"]
    assert made.columns[1].mean == pytest.approx(8 / 3)
    assert made.columns[1].categories == ["1", "2", "5"]
    for name in (made.digest, made.digest[:6]):
        assert calls.datasets.GetDataset(GetDatasetRequest(dataset=name), timeout=TIMEOUT_S) == made
    for name in (made.digest[:5], "0" * 64, "../" + made.digest, made.digest.upper()):
        refused = refusal(lambda name=name: calls.datasets.GetDataset(GetDatasetRequest(dataset=name)))
        assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "DATASET_NOT_FOUND")
    assert put(calls, content, "again.csv") == made, "it stays what it was"


def test_pages(calls: Calls) -> None:
    made = [put(calls, unique()).digest for _ in range(3)]
    token, found = "", []
    while True:
        request = ListDatasetsRequest(page_size=2, page_token=token)
        page = calls.datasets.ListDatasets(request, timeout=TIMEOUT_S)
        assert len(page.datasets) <= 2
        assert not any(column.categories for each in page.datasets for column in each.columns)
        found += [each.digest for each in page.datasets]
        token = page.next_page_token
        if not token:
            break
    assert found[:3] == made[::-1]
    assert found == digests(calls)
    for wrong in ({"page_size": -1}, {"page_size": 1001}, {"page_token": "x"}):
        request = ListDatasetsRequest(**wrong)
        assert refusal(lambda request=request: calls.datasets.ListDatasets(request)).fields == tuple(wrong)


@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"upload": "7"}, "upload", "has to be a UUID of version 4"),
        ({"upload": "../../x"}, "upload", "has to be a UUID of version 4"),
        ({"upload": "00000000-0000-1000-8000-000000000000"}, "upload", "has to be a UUID of version 4"),
        *(
            ({"name": name}, "name", "has to be a file's name without folders")
            for name in ("", "../t.csv", "/etc/t.csv", "a\\t.csv", "t\0.csv", "t\n.csv", "x" * 197 + ".csv")
        ),
        *(
            ({"name": name}, "name", "whose ending says no format")
            for name in ("t", "t.xls", ".csv.", "t.parquet.gz")
        ),
        ({"size_bytes": 0}, "size_bytes", "has to be from 1 to"),
        ({"size_bytes": -1}, "size_bytes", "has to be from 1 to"),
        ({"size_bytes": 1 << 60}, "size_bytes", "has to be from 1 to"),
    ],
)
def test_beginnings_that_are_refused(
    calls: Calls, server: RunningServer, fields: dict[str, Any], field: str, text: str
) -> None:
    refused = refusal(lambda: send(calls, [begin(GOOD, **fields), chunk(0, GOOD), end(GOOD)]))
    assert (refused.code, refused.reason, refused.fields) == (INVALID, "INVALID_REQUEST", (f"begin.{field}",))
    assert text in refused.message
    assert left_over(server) == []


HALF = len(GOOD) // 2


@pytest.mark.parametrize(
    ("requests", "code", "reason", "text"),
    [
        ([], INVALID, "INVALID_REQUEST", "begin: is missing; it has to be the first part"),
        ([UploadDatasetRequest()], INVALID, "INVALID_REQUEST", "begin: is missing"),
        ([chunk(0, GOOD)], INVALID, "INVALID_REQUEST", "begin: is missing"),
        ([end(GOOD)], INVALID, "INVALID_REQUEST", "begin: is missing"),
        ([begin(GOOD), begin(GOOD)], INVALID, "INVALID_REQUEST", "part: has to be `chunk` or `end`"),
        ([begin(GOOD), UploadDatasetRequest()], INVALID, "INVALID_REQUEST", "part: has to be"),
        ([begin(GOOD)], INVALID, "INVALID_REQUEST", "end: is missing; it has to be the last part"),
        ([begin(GOOD), chunk(0, GOOD)], INVALID, "INVALID_REQUEST", "end: is missing"),
        ([begin(GOOD), end(GOOD)], INVALID, "INVALID_REQUEST", f"end: comes after 0 of {len(GOOD)} bytes"),
        (
            [begin(GOOD), chunk(0, GOOD[:HALF]), end(GOOD)],
            INVALID,
            "INVALID_REQUEST",
            f"end: comes after {HALF} of {len(GOOD)} bytes; send the others first",
        ),
        ([begin(GOOD), chunk(0, b"")], INVALID, "INVALID_REQUEST", "chunk.data: has 0 bytes"),
        (
            [begin(GOOD), chunk(0, bytes(MIB + 1))],
            INVALID,
            "INVALID_REQUEST",
            "chunk.data: has 1048577 bytes; it has to be from 1 to 1048576",
        ),
        (
            [begin(GOOD), chunk(0, GOOD + b"4")],
            INVALID,
            "INVALID_REQUEST",
            "chunk.data: goes to byte 25; by its",
        ),
        (
            [begin(GOOD), chunk(0, GOOD), chunk(24, b"4")],
            INVALID,
            "INVALID_REQUEST",
            "goes to byte 25; by its",
        ),
        (
            [begin(GOOD), chunk(1, GOOD[1:])],
            grpc.StatusCode.ABORTED,
            "UPLOAD_INTERRUPTED",
            "goes on at byte 0;",
        ),
        ([begin(GOOD), chunk(-1, GOOD)], grpc.StatusCode.ABORTED, "UPLOAD_INTERRUPTED", "goes on at byte 0;"),
        (
            [begin(GOOD), chunk(0, GOOD[:HALF]), chunk(0, GOOD[:HALF])],
            grpc.StatusCode.ABORTED,
            "UPLOAD_INTERRUPTED",
            f"goes on at byte {HALF}; begin it again from there",
        ),
        (
            [begin(GOOD), chunk(0, GOOD), UploadDatasetRequest(end=UploadEnd(digest="xyz"))],
            INVALID,
            "INVALID_REQUEST",
            "end.digest: is 'xyz'; it has to be the SHA-256 of the file",
        ),
        (
            [begin(GOOD), chunk(0, GOOD), end(b"other")],
            grpc.StatusCode.DATA_LOSS,
            "DIGEST_MISMATCH",
            "nothing is kept, upload it again",
        ),
    ],
)
def test_uploads_that_are_refused(
    calls: Calls, server: RunningServer, requests: list[Any], code: grpc.StatusCode, reason: str, text: str
) -> None:
    before = digests(calls)
    upload = new_id()
    if requests and requests[0].HasField("begin"):
        requests[0].begin.upload = upload
    refused = refusal(lambda: send(calls, requests))
    assert (refused.code, refused.reason) == (code, reason)
    assert text in refused.message
    assert digests(calls) == before
    if reason == "DIGEST_MISMATCH":
        assert upload not in left_over(server)
    # Whatever was sent before can be gone on with, or sent again.
    uploads = [each for each in find(calls, GOOD).uploads if each.upload == upload]
    made = put(
        calls, GOOD, upload=upload, start=uploads[0].committed_bytes if uploads else _kept(server, upload)
    )
    assert made.digest == sha256(GOOD)
    assert upload not in left_over(server)
    delete(calls, made.digest)


def _kept(server: RunningServer, upload: str) -> int:
    content = server.data_dir / "uploads" / upload / "content"
    return content.stat().st_size if content.exists() else 0


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        (b"a,b\n1,2\n1\n", "t.csv", "row 2 has 1 value, the header has 2: '1'"),
        (b"a,b\n1,\xff\n", "t.csv", "row 1, column 'b' is not UTF-8; save the file as UTF-8"),
        (b"1,2\n3,4\n", "t.csv", "it has no header"),
        (b"a,a\n1,2\n", "t.csv", "columns 1 and 2 are both named 'a'"),
        (b"a,\n1,2\n", "t.csv", "column 2 has no name"),
        (b"a,b\n", "t.csv", "it has no rows"),
        (GOOD, "t.parquet", "its name says a Parquet file, which it is not"),
        (gzip.compress(GOOD, mtime=0), "t.csv", "it begins as a file compressed with gzip"),
        (gzip.compress(GOOD, mtime=0)[:-9], "t.csv.gz", "Truncated"),
        (os.urandom(5000), "t.npy", "its name says a NumPy array, which it is not"),
    ],
)
def test_files_that_are_no_tables(
    calls: Calls, server: RunningServer, content: bytes, name: str, text: str
) -> None:
    before = digests(calls)
    refused = refusal(lambda: put(calls, content, name))
    assert (refused.code, refused.reason) == (INVALID, "UNREADABLE_DATA")
    assert text in refused.message
    assert digests(calls) == before
    assert not find(calls, content).uploads
    assert not [path for path in (server.data_dir / "datasets").iterdir() if path.name.startswith(".")]


def test_what_is_no_message(calls: Calls) -> None:
    call = calls.channel.stream_unary("/gradstream.v1.DatasetService/UploadDataset")
    refused = refusal(lambda: call(iter([b"\xff\xff\xff"]), timeout=TIMEOUT_S))
    assert (refused.code, refused.reason, refused.fields) == (INVALID, "INVALID_REQUEST", ("request",))
    refused = refusal(lambda: calls.datasets.FindContent(FindContentRequest(size_bytes=1, head_digest="x")))
    assert refused.fields == ("head_digest",)


def test_an_upload_cut_anywhere_goes_on_from_there(calls: Calls) -> None:
    """Whoever has a bad connection would begin again and again."""
    numbers, content = array()
    chance = random.Random(0)
    upload = new_id()
    at = 0
    for _ in range(8):
        stop = min(len(content), at + chance.randrange(1 if at else MIB, 2 * MIB))
        hanging = Hanging(
            calls, [begin(content, "t.npy", upload), *chunks(content, at, stop, chance.randrange(9_999, MIB))]
        )
        if chance.random() < 0.5:
            # Interrupted when what was sent before the cut has come to its place only now.
            wait_until(
                lambda stop=stop, hanging=hanging: (
                    hanging.call.done() or committed(calls, content, upload) == stop
                ),
                "what was sent",
            )
        hanging.cut()
        at = committed(calls, content, upload)
        assert at <= len(content)
    while (made := attempt(calls, content, name="t.npy", upload=upload, start=at)) is ABORTED:
        at = committed(calls, content, upload)
    assert_is(made, numbers)
    assert not find(calls, content).uploads


def committed(calls: Calls, content: bytes, upload: str) -> int:
    """How much the server has of an upload: known from the first MiB on."""
    for each in find(calls, content).uploads:
        if each.upload == upload:
            assert each.committed_digest == sha256(content[: each.committed_bytes])
            return each.committed_bytes
    return 0


def assert_is(made: Any, numbers: np.ndarray) -> None:
    """What was read is what was sent."""
    assert made.rows == len(numbers)
    for column, values in zip(made.columns, numbers.T, strict=True):
        assert column.mean == pytest.approx(values.mean(dtype=float), abs=1e-9)


def test_who_goes_on_while_the_old_connection_still_writes(calls: Calls) -> None:
    """A chunk that comes to its place twice would make another table of the file."""
    numbers, content = array(24)
    upload = new_id()
    at, hanging = 0, []
    made: Any = grpc.StatusCode.ABORTED
    while made is grpc.StatusCode.ABORTED:
        stop = min(len(content), at + 3 * MIB)
        hanging.append(Hanging(calls, [begin(content, "t.npy", upload), *chunks(content, at, stop)]))
        wait_until(lambda at=at: committed(calls, content, upload) > at, "a chunk")
        # What is committed may have grown when this arrives: chunks are on their way.
        start = committed(calls, content, upload)
        made = attempt(calls, content, name="t.npy", upload=upload, start=start)
        at = committed(calls, content, upload)
        if at == len(content):
            made = put(calls, content, name="t.npy", upload=upload, start=at)
    assert_is(made, numbers)
    for each in hanging:
        each.cut()


def test_an_upload_that_is_taken_over(calls: Calls) -> None:
    upload, content = new_id(), unique()
    first = Hanging(calls, [begin(content, upload=upload), chunk(0, content[:10])])
    second = Hanging(calls, [begin(content, upload=upload.upper())])
    # Nobody knows which of the three comes first.
    found = [attempt(calls, content, upload=upload, start=start) for start in (10, 0, 10)]
    made = next(each for each in found if not isinstance(each, grpc.StatusCode))
    assert made.digest == sha256(content)
    assert {each for each in found if isinstance(each, grpc.StatusCode)} <= {grpc.StatusCode.ABORTED}
    first.cut()
    second.cut()


def test_an_id_is_for_one_file(calls: Calls) -> None:
    upload, content = new_id(), unique()
    hanging = Hanging(calls, [begin(content, upload=upload), chunk(0, content[:10])])
    wait_until(lambda: not hanging.call.done(), "it to be open")
    for other in ({"name": "other.csv"}, {"size_bytes": 7}):
        wait_until(
            lambda other=other: "has begun as 't.csv' of" in _message(calls, content, upload, other),
            "a refusal",
        )
    hanging.cut()


def _message(calls: Calls, content: bytes, upload: str, other: dict[str, Any]) -> str:
    return refusal(lambda: send(calls, [begin(content, upload=upload, **other)])).message


def test_the_same_file_twice_at_once(calls: Calls) -> None:
    for content, name in ((array(2)[1], "t.npy"), (unique(), "t.csv"), (b"a,b\n1\n", "t.csv")):

        def upload(_: int, content: bytes = content, name: str = name) -> str:
            try:
                return put(calls, content, name).digest
            except grpc.RpcError as error:
                return str(error.details())

        with ThreadPoolExecutor(8) as pool:
            told = set(pool.map(upload, range(12)))
        assert len(told) == 1
        assert not find(calls, content).uploads


def test_who_leaves_while_it_is_read_can_come_back(calls: Calls, server: RunningServer) -> None:
    content = b"a,b,y\n" + b"1,2.5,3\n" * 3_000_000 + str(random.random()).encode() + b",1,1\n"
    upload = new_id()
    before = descendants(server.process.pid)
    hanging = Hanging(calls, list(parts(content, upload=upload)))
    wait_until(lambda: descendants(server.process.pid) - before, "a reader")
    reader = descendants(server.process.pid) - before
    hanging.cut()
    wait_for_end(reader)
    assert committed(calls, content, upload) == len(content)
    assert put(calls, content, upload=upload, start=len(content)).rows == 3_000_001
    wait_until(lambda: descendants(server.process.pid) <= before, "the end of all readers")


def test_a_data_set_in_use_is_not_deleted(calls: Calls) -> None:
    """A job would lose what it trains on."""
    content = unique()
    made = put(calls, content)
    job = calls.running(
        selection(made.digest[:10], epochs=10_000_000, report_every=1_000_000, learning_rate=1e-30)
    )
    refused = refusal(lambda: delete(calls, made.digest))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DATASET_IN_USE")
    calls.cancel(job.id)
    calls.end(job.id)
    delete(calls, made.digest[:10])
    refused = refusal(lambda: delete(calls, made.digest))
    assert refused.reason == "DATASET_NOT_FOUND"
    refused = refusal(lambda: calls.create(selection(made.digest)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "DATASET_NOT_FOUND")
    assert calls.get(job.id).state == event_pb2.JOB_STATE_CANCELLED
    assert put(calls, content).digest == made.digest


def test_a_selection_that_is_wrong_is_told_by_field(calls: Calls) -> None:
    made = put(calls, b"a,city,y\n1,Rome,2\n2,,3\n3,Oslo,4\n")
    spec = selection(made.digest)
    spec.dataset.features[:] = ["a", "citty"]
    refused = refusal(lambda: calls.create(spec))
    assert (refused.code, refused.reason, refused.fields) == (
        INVALID,
        "INVALID_SPEC",
        ("spec.dataset.features[1]",),
    )
    assert "did you mean 'city'?" in refused.message


def test_wide_tables_make_several_pages(calls: Calls) -> None:
    """Clients that take 4 MiB at once could not list data sets any more."""
    wide = []
    for _ in range(3):
        content = io.BytesIO()
        np.save(content, np.frombuffer(os.urandom(9_000), "i1").reshape(3, 3000))
        wide.append(put(calls, content.getvalue(), "t.npy").digest)
    request = ListDatasetsRequest(page_size=1000)
    page = calls.datasets.ListDatasets(request, timeout=TIMEOUT_S)
    assert len(page.datasets) >= 3
    assert page.ByteSize() < 4 << 20
    for digest in wide:
        delete(calls, digest)


def forked_by(server: RunningServer) -> set[int]:
    """Its workers, and the readers of files."""
    return {pid for pid in descendants(server.process.pid) if parent(pid) != server.process.pid}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Calls]]:
    """A server that takes no data set of more than 48 MiB, and two at once."""
    folder = tmp_path_factory.mktemp("small") / "data"
    options = ("--max-dataset-bytes", str(48 * MIB), "--max-uploads", "2", "--workers", "2")
    with running_server(folder, *options) as server, calls_to(server.address) as calls:
        calls.train(reference())
        # Whatever is forked from here on reads a file.
        wait_until(lambda: len(forked_by(server)) == 2, "its workers")
        yield server, calls


def zeros(mib: int, before: bytes) -> bytes:
    packer = zlib.compressobj(1, wbits=31)
    block = bytes(MIB)
    return b"".join([packer.compress(before), *(packer.compress(block) for _ in range(mib)), packer.flush()])


def test_bombs_disturb_nobody(small: tuple[RunningServer, Calls]) -> None:
    """Somebody's file of a few kilobytes would stop all others."""
    server, calls = small
    header = io.BytesIO()
    np.save(header, np.zeros(10))
    huge = header.getvalue()[:-80].replace(b"(10,), }       ", b"(1073741824,),}")
    before = descendants(server.process.pid)
    bombs = [
        (zeros(200, huge), "t.npy.gz"),
        (zeros(200, b"a,b\n1,2\n"), "t.csv.gz"),
        (zeros(200, b"a\n"), "t.tsv.gz"),
    ]
    slowest = 0.0
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(refusal, lambda bomb=bomb: put(calls, *bomb)) for bomb in bombs]
        while not all(future.done() for future in futures):
            start = time.perf_counter()
            calls.system.GetServerInfo(system_service_pb2.GetServerInfoRequest(), timeout=TIMEOUT_S)
            slowest = max(slowest, time.perf_counter() - start)
            assert calls.train(reference())[-1].HasField("completed")
        for future in futures:
            assert future.result().reason == "UNREADABLE_DATA"
    assert slowest < 2
    assert left_over(server) == []
    wait_until(lambda: descendants(server.process.pid) <= before, "the end of all readers")


@pytest.mark.parametrize(
    ("number", "times", "text"),
    [(signal.SIGSEGV, 1, "perhaps it is damaged"), (signal.SIGKILL, 3, "its reader was killed 3 times")],
)
def test_a_reader_that_dies(small: tuple[RunningServer, Calls], number: int, times: int, text: str) -> None:
    server, calls = small
    before = forked_by(server)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(refusal, lambda: put(calls, LONG_TABLE))
        for _ in range(times):
            wait_until(lambda: forked_by(server) - before, "a reader")
            reader = next(iter(forked_by(server) - before))
            os.kill(reader, number)
            before.add(reader)
        refused = future.result()
    assert (refused.reason, refused.code) == ("UNREADABLE_DATA", INVALID)
    assert text in refused.message
    assert left_over(server) == []
    assert put(calls, unique()).rows == 3


def test_a_reader_that_is_killed_once_costs_nobody_his_upload(small: tuple[RunningServer, Calls]) -> None:
    """What others do to a process, such as a machine that lacks memory, is no fault of the file."""
    server, calls = small
    before = forked_by(server)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(put, calls, LONG_TABLE + b"1,2.5,4\n")
        wait_until(lambda: forked_by(server) - before, "a reader")
        os.kill(next(iter(forked_by(server) - before)), signal.SIGKILL)
        assert future.result().rows == LONG_ROWS + 1
    assert put(calls, unique()).rows == 3


def test_more_uploads_than_may_be(small: tuple[RunningServer, Calls]) -> None:
    _, calls = small
    hanging = []
    for _ in range(2):
        upload, content = new_id(), os.urandom(2 * MIB)
        hanging.append(Hanging(calls, [begin(content, "t.npy", upload), chunk(0, content[:MIB])]))
        wait_until(lambda content=content, upload=upload: committed(calls, content, upload), "a chunk")
    refused = refusal(lambda: put(calls, unique()))
    assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_UPLOADS")
    assert refused.retry_after_s
    for each in hanging:
        each.cut()

    full = grpc.StatusCode.RESOURCE_EXHAUSTED
    wait_until(lambda: attempt(calls, unique()) is not full, "room for another")
    assert put(calls, unique()).rows == 3


def test_uploads_survive_the_server_and_its_left_overs_do_not(tmp_path: Path) -> None:
    numbers, content = array(3)
    small_one = unique()
    upload = new_id()
    with running_server(tmp_path / "data") as server, calls_to(server.address) as calls:
        kept = put(calls, small_one)
        Hanging(calls, [begin(content, "t.npy", upload), *chunks(content, 0, 2 * MIB, 300_000)])
        wait_until(lambda: committed(calls, content, upload) == 2 * MIB, "what was sent")
        server.process.kill()
        server.process.wait()
    for folder in ("datasets", "uploads", "matrices"):
        (tmp_path / "data" / folder / ".aside-12-abc").mkdir()
        (tmp_path / "data" / folder / ".aside-12-abc" / "table.arrow").write_bytes(b"half")
    with (
        running_server(tmp_path / "data", "--keep-uploads", "3600") as server,
        calls_to(server.address) as calls,
    ):
        assert digests(calls) == [kept.digest]
        at = committed(calls, content, upload)
        assert at == 2 * MIB
        assert_is(put(calls, content, "t.npy", upload=upload, start=at), numbers)
        assert sorted(path.name for path in (tmp_path / "data" / "datasets").iterdir()) == sorted(
            digests(calls)
        )
        assert list((tmp_path / "data" / "matrices").iterdir()) == []
        assert calls.train(selection(kept.digest, learning_rate=1e-30))[-1].HasField("completed")
        assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


def test_a_full_disk(tmp_path: Path) -> None:
    """A file that somebody uploads would take the room in which everybody's jobs tell how they go."""
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", 64) as disk:
        with running_server(disk / "data") as server, calls_to(server.address) as calls:
            job = calls.running(reference(epochs=10_000_000, report_every=1_000_000))
            numbers, content = array(20)
            _, large = array(60)
            refused = refusal(lambda: put(calls, large, "t.npy"))
            assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL")
            assert refused.retry_after_s
            assert left_over(server) == []
            # There is room for the file, but not for the table in it.
            filler = disk / "filler"
            filler.write_bytes(bytes(10 * MIB))
            assert refusal(lambda: put(calls, content, "t.npy")).reason == "STORAGE_FULL"
            assert left_over(server) == []
            # Somebody else takes the room in the middle.
            upload = new_id()
            hanging = Hanging(calls, [begin(content, "t.npy", upload), *chunks(content, 0, 2 * MIB)])
            wait_until(lambda: committed(calls, content, upload) == 2 * MIB, "what was sent")
            hanging.cut()
            with filler.open("ab") as file:
                file.write(bytes(13 * MIB))
            assert (
                refusal(lambda: put(calls, content, "t.npy", upload=upload, start=2 * MIB)).reason
                == "STORAGE_FULL"
            )
            assert left_over(server) == []
            assert calls.get(job.id).state == event_pb2.JOB_STATE_RUNNING
            filler.unlink()
            assert_is(put(calls, content, "t.npy"), numbers)
            calls.cancel(job.id)
            calls.end(job.id)
        assert "Traceback" not in server.log.read_text()


def anonymous_mib(process: int) -> float:
    """What a process has allocated, files that it has mapped left out."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) / 1024


def test_a_table_larger_than_memory(tmp_path: Path) -> None:
    """Whoever has more data than the machine has memory could not train on them."""
    with running_server(tmp_path / "data", "--workers", "1") as server, calls_to(server.address) as calls:
        calls.train(reference())
        content = io.BytesIO()
        features = np.random.default_rng(0).standard_normal((1_200_000, 31), np.float32)
        np.save(content, np.concatenate([features, features.sum(axis=1, keepdims=True)], axis=1))
        digest = put(calls, content.getvalue(), "t.npy").digest
        (worker,) = (
            pid
            for pid in descendants(server.process.pid)
            if "libtorch" in Path(f"/proc/{pid}/maps").read_text() and not descendants(pid)
        )
        before = anonymous_mib(worker)
        for trainer in ("manual", "autograd", "module"):
            limit = 64 * MIB
            spec = reference(trainer, epochs=1, batch_size=4096, learning_rate=0.1, max_memory_bytes=limit)
            spec.dataset.CopyFrom(spec_pb2.Selection(digest=digest, targets=["x32"]))
            assert len(content.getvalue()) > 2 * limit
            last = calls.train(spec)[-1]
            assert last.HasField("completed"), last
            parameters = {
                each.name: np.frombuffer(each.value.data, "f4") for each in last.completed.parameters
            }
            np.testing.assert_allclose(parameters["weight"], 1, atol=0.01)
            assert anonymous_mib(worker) - before < 48


def test_nothing_of_all_that_was_a_fault_of_the_server(calls: Calls, server: RunningServer) -> None:
    """An operator would look for defects where users have made mistakes."""
    assert calls.train(reference())[-1].HasField("completed")
    told = [line for line in server.log.read_text().splitlines() if "fault of the server" in line]
    assert told == []
