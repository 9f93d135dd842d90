"""Of any file comes a table, or a sentence on why there is none: within bounds of time and memory."""

import gzip
import io
import random
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.data.files import arrow, arrows, compressed, npy, npz, parquet, read

from gradstream_server.data.dataset import Table
from gradstream_server.data.formats import known_suffixes
from gradstream_server.jobs.errors import UnreadableData

TABLE = pa.table(
    {
        "a": [1, 2, None, 4] * 50,
        "b": [0.5, -1.5, None, 4.0] * 50,
        "kind": pa.array(["x", "y", None, "x"] * 50).dictionary_encode(),
        "text": ["some", "text", None, ""] * 50,
        "list": [[1], [2, 3], None, []] * 50,
    }
)
_ARRAY = np.arange(60.0).reshape(20, 3)
_TEXT = b"a,b,c\n" + b'1,2.5,x\n2,,"y\nz"\n3,4,NA\n' * 30
REAL = {
    ".csv": [_TEXT],
    ".tsv": [_TEXT.replace(b",", b"\t")],
    ".parquet": [parquet(TABLE), parquet(TABLE, compression="zstd", data_page_version="2.0")],
    ".arrow": [arrow(TABLE)],
    ".feather": [arrow(TABLE)],
    ".arrows": [arrows(TABLE)],
    ".npy": [npy(_ARRAY), npy(np.asfortranarray(_ARRAY)), npy(np.array([(1, 2.5)], "i4,f8"))],
    ".npz": [npz(X=_ARRAY, y=_ARRAY[:, 0])],
}


def outcome(folder: Path, content: bytes, name: str) -> Table | UnreadableData:
    """What comes of a file: anything else is raised."""
    found: Table | UnreadableData
    try:
        found = read(folder, content, name, 1 << 24)
    except UnreadableData as error:
        found = error
    assert isinstance(found, Table) or (str(found) and "\n" not in str(found))
    return found


def real(suffix: str) -> list[bytes]:
    plain = suffix.removesuffix(".gz").removesuffix(".zst")
    return [compressed(suffix, content) for content in REAL[plain]]


@pytest.mark.parametrize("suffix", known_suffixes())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    """A damaged file would be a fault of the server, or be trained on as if it were whole."""
    content = bytearray(data.draw(st.sampled_from(real(suffix))))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["bits", "number", "cut", "double", "remove"])):
            case "bits":
                content[place] ^= data.draw(st.integers(1, 255))
            case "number":
                number = data.draw(st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63)]))
                content[place : place + 8] = number.to_bytes(8, "little", signed=True)
            case "cut":
                del content[max(1, place) :]
            case "double":
                content[place:place] = content[place : place + 50]
            case "remove":
                del content[max(1, place) : place + 20]
    outcome(tmp_path, bytes(content), f"t{suffix}")


@pytest.mark.parametrize(
    "suffix", [".csv", ".parquet", ".arrow", ".arrows", ".npy", ".npz", ".csv.gz", ".npy.zst"]
)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(min_size=1, max_size=300), whole=st.booleans())
def test_random_bytes(tmp_path: Path, suffix: str, content: bytes, whole: bool) -> None:
    outcome(tmp_path, content if whole else real(suffix)[0][:8] + content, f"t{suffix}")


@pytest.mark.parametrize("suffix", [s for s in known_suffixes() if s not in (".csv", ".tsv")])
def test_files_that_are_cut_anywhere(tmp_path: Path, suffix: str) -> None:
    """Half a table would be trained on as if it were whole."""
    content = real(suffix)[0]
    places = {1, len(content) - 1, *random.Random(0).sample(range(1, len(content)), 25)}
    for place in places:
        found = outcome(tmp_path, content[:place], f"t{suffix}")
        # A stream of Arrow may end without its end mark, between two batches.
        if isinstance(found, Table):
            assert suffix.startswith(".arrows")
            assert place > len(content) - 16 or suffix != ".arrows"
            assert found.rows == 200


@pytest.mark.parametrize("says", known_suffixes())
@pytest.mark.parametrize(
    "holds", [".csv", ".parquet", ".arrow", ".arrows", ".npy", ".npz", ".csv.gz", ".npy.zst"]
)
def test_a_file_that_is_not_what_its_name_says(tmp_path: Path, says: str, holds: str) -> None:
    """Whoever gives a file the wrong name would have to guess what a parser means."""
    alike = [{".csv", ".tsv"}, {".arrow", ".feather"}]
    if says == holds or {says, holds} in alike or (says, holds) == (".tsv.gz", ".csv.gz"):
        return
    found = outcome(tmp_path, real(holds)[0], f"t{says}")
    assert isinstance(found, UnreadableData)
    assert str(found).startswith("its name says ")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"PK\x03\x04" + bytes(100), "a ZIP archive, as workbooks of Excel and NumPy archives are"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(500), "a workbook of an old Excel"),
        ("a,b\n1,2\n".encode("utf-16"), "text in UTF-16, not UTF-8"),
        (b'{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', "JSON"),
        (b'[\n  {"a": 1},\n  {"a": 2}\n]', "JSON"),
        (b"[[1, 2], [3, 4]]", "JSON"),
        (b"\n<!DOCTYPE html>\n<html></html>\n", "a web page or XML"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    ],
)
def test_files_of_other_kinds_are_told_by_their_kind(tmp_path: Path, content: bytes, text: str) -> None:
    """What a program has written under the name of a table would be read as one, or refused in riddles."""
    for name, kind in (("t.csv", "a CSV file"), ("t.parquet", "a Parquet file"), ("t.tsv.gz", "a TSV file")):
        found = outcome(tmp_path, compressed(name, content), name)
        assert str(found) == f"its name says {kind}, but it begins as {text}"
    assert not isinstance(outcome(tmp_path, b"[m],{s}\n1,2\n", "t.csv"), UnreadableData)


def test_text_that_is_not_utf_8_in_files_of_arrow(tmp_path: Path) -> None:
    """Whoever has one such value among a million would have to look for it."""
    values = pa.array(["a", "b", "c", "d"] * 3)
    broken = pa.Array.from_buffers(
        pa.string(), 12, [None, values.buffers()[1], pa.py_buffer(b"abcdabc\xffabcd")]
    )
    table = pa.table({"x": range(12), "t": broken})
    for content, name in (
        (arrow(table), "t.arrow"),
        (arrow(table, max_chunksize=5), "t.arrow"),
        (parquet(table, row_group_size=4), "t.parquet"),
    ):
        with pytest.raises(UnreadableData, match=r"^row 8, column 't' is not UTF-8$"):
            read(tmp_path, content, name)
    kinds = pa.DictionaryArray.from_arrays(pa.array([0, 7]), broken)
    with pytest.raises(UnreadableData, match=r"^column 'k' is damaged: .*UTF8"):
        read(tmp_path, arrow(pa.table({"k": kinds})), "t.arrow")


def test_columns_of_one_name_and_none(tmp_path: Path) -> None:
    column = pa.array([1, 2])
    for names, text in (
        (["a", "a"], "columns 1 and 2 are both named 'a'"),
        (["a", ""], "column 2 has no name"),
        ([" ", "a"], "column 1 has no name"),
        (["a", "b" * 201], "the name of column 2 has 201 characters"),
    ):
        table = pa.Table.from_arrays([column, column], names)
        for content, name in ((arrow(table), "t.arrow"), (parquet(table), "t.parquet")):
            with pytest.raises(UnreadableData, match=text):
                read(tmp_path, content, name)


def test_tables_without_rows_or_columns(tmp_path: Path) -> None:
    none = pa.table({"a": pa.array([], pa.int64())})
    for content, name in ((arrow(none), "t.arrow"), (arrows(none), "t.arrows"), (parquet(none), "t.parquet")):
        with pytest.raises(UnreadableData, match="it has no rows"):
            read(tmp_path, content, name)
    batch = pa.RecordBatch.from_struct_array(pa.array([{}, {}], pa.struct([])))
    content = io.BytesIO()
    with pa.ipc.new_stream(content, batch.schema) as writer:
        writer.write_batch(batch)
    with pytest.raises(UnreadableData, match="it has no columns"):
        read(tmp_path, content.getvalue(), "t.arrows")


def zeros(mib: int, before: bytes = b"", repeated: bytes = b"\0") -> bytes:
    """A file of gzip that unpacks to many MiB of the same."""
    packer = zlib.compressobj(1, wbits=31)
    parts = [packer.compress(before)]
    block = repeated * ((1 << 20) // len(repeated))
    parts += [packer.compress(block) for _ in range(mib)]
    return b"".join([*parts, packer.flush()])


@pytest.mark.parametrize(
    ("name", "before", "repeated", "text"),
    [
        ("t.csv.gz", b"", b"\0", "it is no text: there is a zero byte in the header"),
        ("t.csv.gz", b"a\n1\n", b"\n", "unpacked it takes more than 33554432 bytes"),
        ("t.csv.gz", b"a,b\n1,2\n", b"\n", "unpacked it takes more than 33554432 bytes"),
        ("t.csv.gz", b"a\n", b"NA\n\n", "more than 33554432 bytes"),
        ("t.csv.gz", b"a,b\n", b"1,0\n", "takes more than 33554432 bytes"),
        ("t.csv.gz", b"a,b\n1,", b"2", "unpacked it takes more than 33554432 bytes"),
        (
            "t.npy.gz",
            npy(np.zeros(10)).replace(b"(10,), }       ", b"(1073741824,),}"),
            b"\0",
            "more than 33554432",
        ),
        ("t.npy.gz", npy(np.zeros(10)), b"\0", "goes on after its end"),
    ],
)
def test_bombs_of_gzip(tmp_path: Path, name: str, before: bytes, repeated: bytes, text: str) -> None:
    """A file of a few kilobytes would fill the memory, the disk or the day of the server."""
    content = zeros(64, before, repeated)
    assert len(content) < 2 << 20
    with pytest.raises(UnreadableData, match=text):
        read(tmp_path, content, name, 32 << 20)


def test_bombs_of_zip(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    header = npy(np.zeros(10)).replace(b"(10,), }       ", b"(1073741824,),}")
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as file:
        file.write(header)
        for _ in range(64):
            file.write(bytes(1 << 20))
    with pytest.raises(UnreadableData, match="takes more than 33554432 bytes, which is the limit"):
        read(tmp_path, bomb.getvalue(), "t.npz", 32 << 20)


def test_small_files_that_tell_of_much(tmp_path: Path) -> None:
    """Columns of which nothing is kept take no room, but time all the same."""
    nothing = pa.table({"a": pa.nulls(40_000_000)})
    for content, name in ((arrow(nothing), "t.arrow"), (parquet(nothing), "t.parquet")):
        assert len(content) < 1 << 20
        with pytest.raises(UnreadableData, match="takes more than 33554432 bytes"):
            read(tmp_path, content, name, 32 << 20)
    same = parquet(pa.table({"a": np.zeros(5_000_000)}))
    assert len(same) < 1 << 16
    with pytest.raises(UnreadableData, match="takes more than 33554432 bytes"):
        read(tmp_path, same, "t.parquet", 32 << 20)


def test_what_takes_no_more_than_it_may(tmp_path: Path) -> None:
    content = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)
    assert read(tmp_path, content, "t.csv.gz", 100_000).rows == 1000
    with pytest.raises(UnreadableData, match="unpacked it takes more than 4003 bytes"):
        read(tmp_path, content, "t.csv.gz", 4003)
