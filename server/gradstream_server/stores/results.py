"""What is left of deleted jobs whose models are kept: a file for each, with the result and its parameters."""

from collections.abc import Callable
from pathlib import Path

from gradstream_server.jobs.store import StorageFull
from gradstream_server.stores.durable import ASIDE, make_folder, sync_folder, write_file
from gradstream_server.stores.reserve import NO_ROOM

_SUFFIX = ".result"


class FileResults:
    """A folder of files named by their jobs."""

    def __init__(self, folder: Path, with_room: Callable[[Callable[[], None]], None]) -> None:
        """
        Args:
            with_room: makes room for what it is given to do, when the disk is full.
        """
        self._folder = folder
        self._with_room = with_room
        make_folder(folder)
        for left in folder.glob(f"{ASIDE}*"):
            left.unlink(missing_ok=True)

    def put(self, job: str, result: bytes) -> None:
        self._with_room(lambda: self._write(job, result))

    def get(self, job: str) -> bytes | None:
        try:
            return self._path(job).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, job: str) -> None:
        self._path(job).unlink(missing_ok=True)
        sync_folder(self._folder)

    def jobs(self) -> set[str]:
        return {path.stem for path in self._folder.glob(f"*{_SUFFIX}")}

    def _write(self, job: str, result: bytes) -> None:
        try:
            write_file(self._path(job), lambda file: file.write(result))
        except OSError as error:
            if error.errno in NO_ROOM:
                raise StorageFull("the disk is full") from error
            raise

    def _path(self, job: str) -> Path:
        return self._folder / f"{job}{_SUFFIX}"
