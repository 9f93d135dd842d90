"""Data sets as folders named by digest: the Arrow file, and what is known of it as JSON, with who has it."""

import json
import logging
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from gradstream_server.data.dataset import Column, ColumnType, Dataset, Table
from gradstream_server.jobs.store import StorageFull
from gradstream_server.stores.durable import ASIDE, make_folder, sync_folder, write_file
from gradstream_server.stores.reserve import NO_ROOM

_logger = logging.getLogger(__name__)

FORMAT = 2
"""To be raised with every change of what is written. 1 knew no owners."""
_TABLE = "table.arrow"
_FACTS = "dataset.json"


@dataclass(frozen=True)
class DatasetFolder:
    """A folder of data sets, to be read."""

    path: Path

    def read(self, digest: str) -> Dataset | None:
        return next(iter(self.read_all(digest)), None)

    def read_all(self, digest: str) -> Sequence[Dataset]:
        """What is known of a data set, as each owner has it, who had it first at the beginning."""
        try:
            return _from_json(json.loads((self.path / digest / _FACTS).read_bytes()))
        except FileNotFoundError:
            return ()
        except (KeyError, TypeError, ValueError) as error:
            _logger.warning("a data set is damaged", extra={"digest": digest, "error": repr(error)})
            return ()

    def table(self, digest: str) -> Path:
        return self.path / digest / _TABLE


class FileDatasets:
    """A folder of data sets, to be added to. What is known of them is held in memory too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._datasets: dict[str, Sequence[Dataset]] = {}
        make_folder(folder)
        for path in folder.iterdir():
            if path.name.startswith(ASIDE):
                shutil.rmtree(path, ignore_errors=True)
            elif datasets := DatasetFolder(folder).read_all(path.name):
                self._datasets[path.name] = datasets

    def all(self) -> Sequence[Dataset]:
        with self._lock:
            datasets = [each for owned in self._datasets.values() for each in owned]
        return sorted(datasets, key=lambda each: (each.create_time, each.digest), reverse=True)

    def get(self, digest: str, owner: str | None = None) -> Dataset | None:
        owned = self._datasets.get(digest, ())
        return next((each for each in owned if owner is None or each.owner == owner), None)

    def prepare(self) -> Path:
        aside = self._folder / f"{ASIDE}{secrets.token_hex(8)}"
        aside.mkdir()
        return aside / _TABLE

    def keep(self, dataset: Dataset, prepared: Path) -> None:
        with self._lock:
            owned = self._datasets.get(dataset.digest, ())
            if any(each.owner == dataset.owner for each in owned):
                return
            # Its table is there already, as whoever had it first has named the file.
            table = owned[0].table if owned else dataset.table
            owned = [*owned, replace(dataset, table=table)]
            try:
                if len(owned) > 1:
                    self._write(self._folder / dataset.digest / _FACTS, owned)
                else:
                    self._write(prepared.with_name(_FACTS), owned)
                    # One that was damaged gives way.
                    self._put_aside(dataset.digest)
                    prepared.parent.rename(self._folder / dataset.digest)
                    sync_folder(self._folder)
            except OSError as error:
                raise _told(error) from error
            self._datasets[dataset.digest] = owned

    def discard(self, prepared: Path) -> None:
        shutil.rmtree(prepared.parent, ignore_errors=True)

    def remove(self, digest: str, owner: str = "") -> None:
        with self._lock:
            owned = self._datasets.get(digest, ())
            left = [each for each in owned if each.owner != owner]
            if len(left) == len(owned):
                return
            if not left:
                del self._datasets[digest]
                self._put_aside(digest)
                return
            try:
                self._write(self._folder / digest / _FACTS, left)
            except OSError as error:
                raise _told(error) from error
            self._datasets[digest] = left

    def _write(self, path: Path, owned: Sequence[Dataset]) -> None:
        facts = json.dumps(_to_json(owned)).encode()
        write_file(path, lambda file: file.write(facts))

    def _put_aside(self, digest: str) -> None:
        aside = self._folder / f"{ASIDE}{secrets.token_hex(8)}"
        with suppress(FileNotFoundError):
            (self._folder / digest).rename(aside)
            sync_folder(self._folder)
        # Whoever has it mapped keeps it until he is done.
        shutil.rmtree(aside, ignore_errors=True)


def _told(error: OSError) -> Exception:
    return StorageFull("the disk is full") if error.errno in NO_ROOM else error


def _to_json(owned: Sequence[Dataset]) -> dict[str, Any]:
    first = owned[0]
    return {
        "format": FORMAT,
        "digest": first.digest,
        "head_digest": first.head_digest,
        "size_bytes": first.size_bytes,
        "table": asdict(first.table),
        "owners": [
            {"owner": each.owner, "name": each.name, "create_time": each.create_time.isoformat()}
            for each in owned
        ],
    }


def _from_json(facts: dict[str, Any]) -> Sequence[Dataset]:
    version = facts.pop("format")
    if version == 1:
        facts["owners"] = [{"name": facts.pop("name"), "create_time": facts.pop("create_time")}]
    elif version != FORMAT:
        raise ValueError("it is of another version")
    table = facts.pop("table")
    columns = tuple(
        Column(**column | {"type": ColumnType(column["type"]), "categories": tuple(column["categories"])})
        for column in table.pop("columns")
    )
    owners = facts.pop("owners")
    known = Table(columns=columns, **table)
    return [
        Dataset(**facts, **each | {"create_time": datetime.fromisoformat(each["create_time"])}, table=known)
        for each in owners
    ]
