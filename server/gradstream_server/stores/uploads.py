"""Uploads as folders named by their id: what has been received, and what it is to become as JSON."""

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

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
        self._digest = hashlib.sha256()
        self._head = hashlib.sha256()
        self.size = 0
        self._file = path.open("ab+", buffering=0)
        self._file.seek(0)
        while content := self._file.read(_READ_BYTES):
            self._count(content)

    def append(self, content: bytes) -> None:
        try:
            written = self._file.write(content)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise StorageFull("the disk is full") from error
            raise
        if written != len(content):
            raise StorageFull("the disk is full")
        self._count(content)

    def received(self) -> Received:
        return Received(self.size, self._digest.hexdigest(), self._head.hexdigest())

    def close(self) -> None:
        self._file.close()

    def _count(self, content: bytes) -> None:
        if self.size < HEAD_BYTES:
            self._head.update(memoryview(content)[: HEAD_BYTES - self.size])
        self._digest.update(content)
        self.size += len(content)


class FileUploads:
    """A folder of uploads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_folder(folder)

    def open(self, record: UploadRecord) -> FileUpload:
        folder = self._folder / record.id
        facts = json.dumps(asdict(record)).encode()
        try:
            folder.mkdir(exist_ok=True)
            write_file(folder / _FACTS, lambda file: file.write(facts))
            return FileUpload(folder / _CONTENT)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise StorageFull("the disk is full") from error
            raise

    def get(self, upload: str) -> UploadRecord | None:
        try:
            return UploadRecord(**json.loads((self._folder / upload / _FACTS).read_bytes()))
        except FileNotFoundError:
            return None

    def all(self) -> Sequence[UploadRecord]:
        found = (self.get(path.name) for path in self._folder.iterdir())
        return [record for record in found if record]

    def remove(self, upload: str) -> None:
        shutil.rmtree(self._folder / upload, ignore_errors=True)

    def remove_older(self, age_s: float) -> None:
        for path in self._folder.iterdir():
            content = path / _CONTENT
            touched = (content if content.exists() else path).stat().st_mtime
            if time.time() - touched > age_s:
                self.remove(path.name)
