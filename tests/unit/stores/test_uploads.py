"""Files on their way here: what has been received is kept, and told by its digest."""

import hashlib
import itertools
import os
import time
import uuid
from pathlib import Path

import pytest
from tests.disk import fill, small_disk

from gradstream_server.data.room import ROOM_BYTES
from gradstream_server.data.store import HEAD_BYTES, Received, UploadRecord
from gradstream_server.jobs.store import StorageFull
from gradstream_server.stores.uploads import FileUploads

CONTENT = os.urandom(HEAD_BYTES + 5000)


def record(size: int = len(CONTENT)) -> UploadRecord:
    return UploadRecord(str(uuid.uuid4()), "t.csv", size)


def expected(content: bytes) -> Received:
    return Received(
        len(content), hashlib.sha256(content).hexdigest(), hashlib.sha256(content[:HEAD_BYTES]).hexdigest()
    )


@pytest.mark.parametrize("cuts", [(), (1,), (1000, 2000), (HEAD_BYTES - 1, HEAD_BYTES + 1), (HEAD_BYTES,)])
@pytest.mark.parametrize("anew", [False, True])
def test_what_has_been_received(tmp_path: Path, cuts: tuple[int, ...], anew: bool) -> None:
    """Whoever goes on with an upload would send too little or too much of it."""
    this = record()
    uploads = FileUploads(tmp_path / "new" / "uploads")
    upload = uploads.open(this)
    places = [0, *cuts, len(CONTENT)]
    for begin, end in itertools.pairwise(places):
        if anew:
            upload.close()
            uploads = FileUploads(tmp_path / "new" / "uploads")
            upload = uploads.open(this)
        assert upload.size == begin
        upload.append(CONTENT[begin:end])
        assert upload.received() == expected(CONTENT[:end])
        head = expected(CONTENT[:end]).head_digest
        assert uploads.received(this.id, head) == expected(CONTENT[:end])
        assert uploads.received(this.id, "0" * 64) is None
    upload.close()
    assert upload.path.read_bytes() == CONTENT
    assert uploads.get(this.id) == this
    assert uploads.all() == [this]


def test_to_ask_changes_nothing(tmp_path: Path) -> None:
    """An upload that was removed meanwhile would come back, empty, for ever."""
    uploads = FileUploads(tmp_path)
    assert uploads.get("0" * 32) is None
    assert uploads.received("0" * 32, "0" * 64) is None
    uploads.remove("0" * 32)
    assert list(tmp_path.iterdir()) == []


def test_records_that_are_damaged_are_none(tmp_path: Path) -> None:
    """A power cut in the wrong moment would make every question for uploads a fault of the server."""
    uploads = FileUploads(tmp_path)
    good, *others = [record() for _ in range(4)]
    for each in (good, *others):
        uploads.open(each).close()
    for each, damage in zip(others, (b"", b"{}", b"\xff"), strict=True):
        (tmp_path / each.id / "upload.json").write_bytes(damage)
    assert uploads.all() == [good]
    assert uploads.get(others[0].id) is None
    uploads.open(others[0]).close()
    assert uploads.get(others[0].id) == others[0]


def test_old_ones_are_removed(tmp_path: Path) -> None:
    """What nobody goes on with would take room for ever."""
    uploads = FileUploads(tmp_path)
    old, begun_again, young = [record() for _ in range(3)]
    for each in (old, begun_again, young):
        uploads.open(each).close()
    (tmp_path / "stray").mkdir()
    hour_ago = time.time() - 3600
    for folder in (old.id, begun_again.id, "stray"):
        for path in (*(tmp_path / folder).iterdir(), tmp_path / folder):
            os.utime(path, (hour_ago, hour_ago))
    uploads.open(begun_again).close()
    uploads.remove_older(1800)
    assert {each.id for each in uploads.all()} == {begun_again.id, young.id}
    assert len(list(tmp_path.iterdir())) == 2


def test_room_is_left_for_others(tmp_path: Path) -> None:
    """A file that somebody uploads would end all jobs for want of room to tell how they go."""
    with small_disk(tmp_path, (ROOM_BYTES >> 20) + 4) as disk:
        uploads = FileUploads(disk / "uploads")
        with pytest.raises(StorageFull):
            uploads.open(record(5 << 20))
        assert uploads.all() == []
        upload = uploads.open(record(3 << 20))
        upload.append(CONTENT)
        filler = fill(disk)
        with pytest.raises(StorageFull):
            upload.append(CONTENT)
        assert upload.received() == expected(CONTENT)
        filler.unlink()
        upload.append(CONTENT)
        upload.close()
        assert upload.path.read_bytes() == CONTENT * 2
