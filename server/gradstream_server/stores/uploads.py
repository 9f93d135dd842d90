"""Uploads as folders named by their id: what has been received, and what it is to become as JSON."""

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO

from gradstream_server.data.room import leave_room
from gradstream_server.data.store import HEAD_BYTES, Received, UploadRecord
from gradstream_server.jobs.store import StorageFull
from gradstream_server.stores.durable import make_folder, write_file
from gradstream_server.stores.reserve import NO_ROOM

_CONTENT = "content"
_FACTS = "upload.json"
_READ_BYTES = 4 << 20


class FileUpload:
    """A file that is being received, and its digest as far as it is there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._counted = _Counted()
        self._file = path.open("ab+", buffering=0)
        self._file.seek(0)
        self._counted.add_all(self._file)

    @property
    def size(self) -> int:
        return self._counted.size

    def append(self, content: bytes | memoryview) -> None:
        try:
            leave_room(self.path)
            written = self._file.write(content)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise StorageFull("the disk is full") from error
            raise
        if written != len(content):
            raise StorageFull("the disk is full")
        self._counted.add(content)

    def received(self) -> Received:
        return self._counted.result()

    def close(self) -> None:
        self._file.close()


class _Counted:
    """Bytes as they come: how many, and their digests."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._head = hashlib.sha256()
        self.size = 0

    def add(self, content: bytes | memoryview) -> None:
        if self.size < HEAD_BYTES:
            self._head.update(memoryview(content)[: HEAD_BYTES - self.size])
        self._digest.update(content)
        self.size += len(content)

    def add_all(self, file: IO[bytes]) -> None:
        while content := file.read(_READ_BYTES):
            self.add(content)

    def result(self) -> Received:
        return Received(self.size, self._digest.hexdigest(), self._head.hexdigest())


class FileUploads:
    """A folder of uploads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_folder(folder)

    def open(self, record: UploadRecord) -> FileUpload:
        folder = self._folder / record.id
        facts = json.dumps(asdict(record)).encode()
        content = folder / _CONTENT
        try:
            received = content.stat().st_size if content.exists() else 0
            leave_room(self._folder, record.size_bytes - received)
            folder.mkdir(exist_ok=True)
            write_file(folder / _FACTS, lambda file: file.write(facts))
            return FileUpload(content)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise StorageFull("the disk is full") from error
            raise

    def get(self, upload: str) -> UploadRecord | None:
        try:
            return UploadRecord(**json.loads((self._folder / upload / _FACTS).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            # Not there, or not whole: a power cut can do that to one that was just begun.
            return None

    def received(self, upload: str, head_digest: str) -> Received | None:
        counted = _Counted()
        try:
            with (self._folder / upload / _CONTENT).open("rb") as file:
                counted.add(file.read(HEAD_BYTES))
                if counted.result().head_digest == head_digest:
                    counted.add_all(file)
        except FileNotFoundError:
            return None
        found = counted.result()
        return found if found.head_digest == head_digest else None

    def all(self) -> Sequence[UploadRecord]:
        found = (self.get(path.name) for path in self._folder.iterdir())
        return [record for record in found if record]

    def remove(self, upload: str) -> None:
        shutil.rmtree(self._folder / upload, ignore_errors=True)

    def remove_older(self, age_s: float) -> None:
        for path in self._folder.iterdir():
            # Facts are written whenever somebody goes on with it, content whenever a chunk comes.
            touched = max(each.stat().st_mtime for each in (path, *path.iterdir()))
            if time.time() - touched > age_s:
                self.remove(path.name)
