"""Data sets as folders named by digest: the Arrow file, and what is known of it as JSON."""

import json
import logging
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from gradstream_server.data.dataset import Column, ColumnType, Dataset, Table
from gradstream_server.jobs.store import StorageFull
from gradstream_server.stores.durable import ASIDE, make_folder, sync_folder, write_file
from gradstream_server.stores.reserve import NO_ROOM

_logger = logging.getLogger(__name__)

FORMAT = 1
"""To be raised with every change of what is written."""
_TABLE = "table.arrow"
_FACTS = "dataset.json"


@dataclass(frozen=True)
class DatasetFolder:
    """A folder of data sets, to be read."""

    path: Path

    def read(self, digest: str) -> Dataset | None:
        try:
            return _from_json(json.loads((self.path / digest / _FACTS).read_bytes()))
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError) as error:
            _logger.warning("a data set is damaged", extra={"digest": digest, "error": repr(error)})
            return None

    def table(self, digest: str) -> Path:
        return self.path / digest / _TABLE


class FileDatasets:
    """A folder of data sets, to be added to. What is known of them is held in memory too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._datasets: dict[str, Dataset] = {}
        make_folder(folder)
        for path in folder.iterdir():
            if path.name.startswith(ASIDE):
                shutil.rmtree(path, ignore_errors=True)
            elif dataset := DatasetFolder(folder).read(path.name):
                self._datasets[path.name] = dataset

    def all(self) -> Sequence[Dataset]:
        with self._lock:
            return sorted(
                self._datasets.values(), key=lambda each: (each.create_time, each.digest), reverse=True
            )

    def get(self, digest: str) -> Dataset | None:
        return self._datasets.get(digest)

    def prepare(self) -> Path:
        aside = self._folder / f"{ASIDE}{secrets.token_hex(8)}"
        aside.mkdir()
        return aside / _TABLE

    def keep(self, dataset: Dataset, prepared: Path) -> None:
        facts = json.dumps(_to_json(dataset)).encode()
        try:
            write_file(prepared.with_name(_FACTS), lambda file: file.write(facts))
            with self._lock:
                if dataset.digest in self._datasets:
                    return
                # One that was damaged gives way.
                self._put_aside(dataset.digest)
                prepared.parent.rename(self._folder / dataset.digest)
                sync_folder(self._folder)
                self._datasets[dataset.digest] = dataset
        except OSError as error:
            if error.errno in NO_ROOM:
                raise StorageFull("the disk is full") from error
            raise

    def discard(self, prepared: Path) -> None:
        shutil.rmtree(prepared.parent, ignore_errors=True)

    def remove(self, digest: str) -> None:
        with self._lock:
            if self._datasets.pop(digest, None) is None:
                return
            self._put_aside(digest)

    def _put_aside(self, digest: str) -> None:
        aside = self._folder / f"{ASIDE}{secrets.token_hex(8)}"
        with suppress(FileNotFoundError):
            (self._folder / digest).rename(aside)
            sync_folder(self._folder)
        # Whoever has it mapped keeps it until he is done.
        shutil.rmtree(aside, ignore_errors=True)


def _to_json(dataset: Dataset) -> dict[str, Any]:
    return {"format": FORMAT, **asdict(dataset), "create_time": dataset.create_time.isoformat()}


def _from_json(facts: dict[str, Any]) -> Dataset:
    if facts.pop("format") != FORMAT:
        raise ValueError("it is of another version")
    table = facts.pop("table")
    columns = tuple(
        Column(**column | {"type": ColumnType(column["type"]), "categories": tuple(column["categories"])})
        for column in table.pop("columns")
    )
    create_time = datetime.fromisoformat(facts.pop("create_time"))
    return Dataset(**facts, create_time=create_time, table=Table(columns=columns, **table))
