"""What is read of a file while it is uploaded: each byte is hashed once, and a change is noticed."""

import io
import os
from hashlib import sha256
from pathlib import Path

import pytest

from gradstream import InvalidArgumentError
from gradstream.content import CHUNK_BYTES, Content

MIB = 1 << 20
DATA = os.urandom(3 * MIB + 17)


def content_of(data: bytes) -> Content:
    return Content(io.BytesIO(data), len(data), "data.csv")


def test_all_of_it_is_hashed_as_it_is_read() -> None:
    content = content_of(DATA)
    read = b"".join(bytes(content.read(place)) for place in range(0, len(DATA), CHUNK_BYTES))
    assert read == DATA
    assert content.digest() == sha256(DATA).hexdigest()


def test_what_is_sent_again_is_not_hashed_again() -> None:
    content = content_of(DATA)
    for place in (0, MIB, 5, MIB, 2 * MIB, MIB + 1, 2 * MIB + 1):
        assert bytes(content.read(place)) == DATA[place : place + CHUNK_BYTES]
    assert content.digest() == sha256(DATA).hexdigest()


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, len(DATA)])
def test_a_beginning_has_its_own_digest(size: int) -> None:
    content = content_of(DATA)
    assert content.digest_of_beginning(size) == sha256(DATA[:size]).hexdigest()
    assert content.digest() == sha256(DATA).hexdigest()


def test_a_beginning_that_has_passed_has_none() -> None:
    content = content_of(DATA)
    assert content.head_digest() == sha256(DATA[:MIB]).hexdigest()
    assert content.digest_of_beginning(17) is None


def test_the_head_of_a_small_file_is_all_of_it() -> None:
    assert content_of(b"a,b\n1,2\n").head_digest() == sha256(b"a,b\n1,2\n").hexdigest()


def test_a_file_begins_where_it_stands() -> None:
    file = io.BytesIO(b"skipped" + DATA)
    file.seek(7)
    content = Content(file, len(DATA), "data.csv")
    assert content.digest() == sha256(DATA).hexdigest()


@pytest.mark.parametrize("change", ["shorter", "longer", "touched"])
def test_a_file_that_changes_is_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(DATA)
    with path.open("rb") as file:
        content = Content(file, len(DATA), "data.csv")
        content.read(0)
        match change:
            case "shorter":
                os.truncate(path, 2 * MIB)
            case "longer":
                with path.open("ab") as other:
                    other.write(b"more")
            case "touched":
                os.utime(path, ns=(0, 0))
        with pytest.raises(InvalidArgumentError, match=r"data\.csv has changed while it was uploaded"):
            content.digest()
