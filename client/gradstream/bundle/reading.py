"""Bundles from files, which anybody may have made: nothing in them is run, and memory is bounded."""

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from gradstream.bundle import description, tensors
from gradstream.bundle.bundle import Bundle
from gradstream.bundle.faults import damaged, listed
from gradstream.errors import BundleError

README = "README.md"
MEMBERS = (description.MEMBER, tensors.MEMBER, README)
MAX_BYTES = 1 << 30
"""Of the parameters."""
_MOST_DESCRIBED = 16 << 20
_MOST_ARCHIVE_OVERHEAD = 1 << 20


def load(source: str | os.PathLike[str] | BinaryIO, max_bytes: int = MAX_BYTES) -> Bundle:
    """Read a bundle, ready to `predict`.

    Args:
        source: path of the zip archive or of the folder it was unpacked to, or the archive as a binary file.
        max_bytes: how large the parameters may be. Default: 1 GiB.

    Raises:
        BundleError: it is damaged, no bundle, larger than that, or of a version of the format that this
            gradstream does not read.
        OSError: the file cannot be read.
    """
    name = str(getattr(source, "name", "file") if hasattr(source, "read") else source)
    try:
        with _opened(source, max_bytes) as members:
            return _read(members, max_bytes)
    except BundleError as error:
        raise BundleError(f"{name} cannot be loaded: {error.message}", reason=error.reason) from error


class _Members(Protocol):
    """The files of a bundle."""

    def read(self, name: str, most: int) -> bytes:
        """All of a file. BundleError when it is longer than `most` bytes, or not there."""
        ...


def _read(members: _Members, max_bytes: int) -> Bundle:
    described = description.read(members.read(description.MEMBER, _MOST_DESCRIBED))
    # Before anything of that size is read: the shapes say how much it can be.
    most = tensors.most_bytes(described.shapes, described.dtype)
    if most > tensors.most_bytes({}, described.dtype) + max_bytes:
        what = f"has parameters of more than {max_bytes} bytes; allow more with max_bytes"
        raise BundleError(f"{description.MEMBER} {what}", reason="BUNDLE_TOO_LARGE")
    content = members.read(tensors.MEMBER, most)
    return described.bundle(tensors.decode(content, described.shapes, described.dtype))


@contextmanager
def _opened(source: str | os.PathLike[str] | BinaryIO, max_bytes: int) -> Iterator[_Members]:
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.is_dir():
            yield _Folder(path)
            return
        if path.exists() and not path.is_file():
            raise damaged("it", "is neither a file nor a folder")
        with path.open("rb") as file, _opened(file, max_bytes) as members:
            yield members
        return
    size = source.seek(0, os.SEEK_END)
    if size > max_bytes + _MOST_DESCRIBED + _MOST_ARCHIVE_OVERHEAD:
        what = f"is a file of {size} bytes; allow more with max_bytes"
        raise BundleError(f"it {what}", reason="BUNDLE_TOO_LARGE")
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
        raise damaged("it", f"is no zip archive, or a damaged one: {error}") from error
    with archive:
        yield _Archive(archive)


class _Archive:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        names = archive.namelist()
        for name in names:
            if name not in MEMBERS:
                what = f"holds {name[:200]!r}; a bundle holds {listed(MEMBERS)} and nothing else"
                raise damaged("it", what)
        if len(set(names)) < len(names):
            raise damaged("it", "holds a file twice")

    def read(self, name: str, most: int) -> bytes:
        try:
            info = self._archive.getinfo(name)
        except KeyError as error:
            raise damaged(name, "is missing") from error
        if info.flag_bits & 1:
            raise damaged(name, "is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise damaged(name, "is compressed in a way that bundles are not")
        if info.file_size > most:
            raise _too_long(name, most)
        try:
            with self._archive.open(info) as file:
                # The size may lie: no more than that is unpacked, whatever there is.
                content = file.read(info.file_size)
                if len(content) < info.file_size or file.read(1):
                    raise damaged(name, "has another length than the archive says")
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
            raise damaged(name, f"is damaged: {error}") from error
        return content


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str, most: int) -> bytes:
        path = self._folder / name
        if not path.is_file():  # nor a device or a pipe, which would never end
            raise damaged(name, "is missing, or no file")
        with path.open("rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise _too_long(name, most)
        return content


def _too_long(name: str, most: int) -> BundleError:
    return damaged(name, f"is longer than the {most} bytes that it can have")
