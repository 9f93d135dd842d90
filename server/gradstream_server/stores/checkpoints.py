"""Checkpoints as files, a folder for each job.

A file is: a line with the format's version and the SHA-256 of all that follows; a line of JSON with
everything but the numbers of arrays, which are told by type and shape; the numbers, array after array, in
row-major order. So a damaged file never passes for a checkpoint, and nothing in it is ever executed.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import chain
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstream_server.jobs.checkpoint import Checkpoint, CheckpointUnusable
from gradstream_server.jobs.events import Completed, Receipt
from gradstream_server.stores.durable import make_folder, write_file

FORMAT = 2
"""To be raised with every change of what is written."""
_FIRST_LINE = re.compile(rb"gradstream checkpoint, format (\d{1,9}), sha256 ([0-9a-f]{64})\n")
_REMOVED = ".removed-"

_Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class FileCheckpoints:
    """Checkpoints in a folder. One process at a time writes those of a job."""

    folder: Path

    def write(self, job: str, name: str, checkpoint: Checkpoint) -> None:
        content = _encode(checkpoint)
        digest = hashlib.sha256(content).hexdigest()
        first_line = f"gradstream checkpoint, format {FORMAT}, sha256 {digest}\n".encode()
        write_file(self.folder / job / name, lambda file: file.write(first_line + content))

    def read(self, job: str, name: str) -> Checkpoint:
        what = f"checkpoint {name} of job {job}"
        try:
            body = (self.folder / job / name).read_bytes()
        except FileNotFoundError as error:
            raise CheckpointUnusable(f"{what} is gone") from error
        except OSError as error:
            raise CheckpointUnusable(f"{what} cannot be read: {error.strerror}") from error
        first_line = _FIRST_LINE.match(body)
        if not first_line:
            raise CheckpointUnusable(f"{what} is damaged: it does not begin as a checkpoint does")
        version, digest = first_line[1].decode(), first_line[2].decode()
        if version != str(FORMAT):
            raise CheckpointUnusable(f"{what} is of format {version}; this version reads format {FORMAT}")
        if hashlib.sha256(memoryview(body)[first_line.end() :]).hexdigest() != digest:
            raise CheckpointUnusable(f"{what} is damaged: its digest is not that of its content")
        try:
            return _decode(body, first_line.end())
        except MemoryError:
            raise
        except Exception as error:  # The digest is right, but anybody can make one.
            raise CheckpointUnusable(f"{what} is damaged: its content is not that of a checkpoint") from error

    def prepare(self, job: str) -> None:
        make_folder(self.folder / job)

    def discard(self, job: str, name: str) -> None:
        (self.folder / job / name).unlink(missing_ok=True)

    def remove(self, job: str) -> None:
        # Out of the way first: a worker that is still there could put another one into a folder that is being
        # emptied.
        removed = self.folder / f"{_REMOVED}{job}"
        shutil.rmtree(removed, ignore_errors=True)
        with suppress(FileNotFoundError):
            (self.folder / job).rename(removed)
            shutil.rmtree(removed)

    def jobs(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        # Those whose removal was cut short are named too, so that it is done again.
        return sorted({path.name.removeprefix(_REMOVED) for path in self.folder.iterdir()})


def _encode(checkpoint: Checkpoint) -> bytes:
    result = checkpoint.result
    groups: dict[str, _Arrays | None] = {
        "state": checkpoint.state,
        "parameters": result.parameters,
        "predictions": None if result.predictions is None else {"": result.predictions},
        "unscaled_parameters": result.unscaled_parameters,
        "scaling": result.scaling and dict(zip(("mean", "scale"), result.scaling, strict=True)),
    }
    header = {
        "seed": checkpoint.seed,
        "epochs": result.epochs,
        # JSON has every float exactly as it is: Python writes the shortest text that is read as the same.
        "final_loss": float(result.final_loss),
        "training_s": float(result.training_s),
        "validation_loss": result.validation_loss,
        "metrics": dict(result.metrics),
        "best_epoch": result.best_epoch,
        "restored": result.restored,
        "best_value": checkpoint.best_value,
        "receipt": asdict(result.receipt),
        "arrays": {
            group: None if arrays is None else {name: _told(array) for name, array in arrays.items()}
            for group, arrays in groups.items()
        },
    }
    arrays = chain.from_iterable(group.values() for group in groups.values() if group)
    return b"".join([json.dumps(header).encode(), b"\n", *(array.tobytes() for array in arrays)])


def _told(array: NDArray[Any]) -> tuple[str, tuple[int, ...]]:
    return _numbers(array.dtype).str, array.shape


def _numbers(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A type as it is, if it is one of numbers. Objects would be addresses of memory."""
    if dtype.kind not in "biufc":
        raise TypeError(f"a checkpoint holds numbers, not {dtype}")
    return dtype


def _decode(body: bytes, start: int) -> Checkpoint:
    end = body.index(b"\n", start)
    header = json.loads(body[start:end])
    groups = dict(_arrays(header["arrays"], body, end + 1))
    predictions = groups["predictions"]
    scaling = groups.get("scaling")  # which earlier versions did not write
    return Checkpoint(
        seed=index(header["seed"]),
        state=groups["state"] or {},
        result=Completed(
            epochs=index(header["epochs"]),
            final_loss=float(header["final_loss"]),
            parameters=groups["parameters"] or {},
            receipt=Receipt(**header["receipt"]),
            training_s=float(header["training_s"]),
            predictions=None if predictions is None else predictions[""],
            unscaled_parameters=groups["unscaled_parameters"],
            scaling=(scaling["mean"], scaling["scale"]) if scaling else None,
            validation_loss=header["validation_loss"],
            metrics=header["metrics"],
            best_epoch=index(header["best_epoch"]),
            restored=bool(header["restored"]),
        ),
        best_value=float(header["best_value"]),
    )


def _arrays(
    told: Mapping[str, Mapping[str, tuple[str, tuple[int, ...]]] | None], body: bytes, offset: int
) -> Iterator[tuple[str, _Arrays | None]]:
    for group, arrays in told.items():
        read: dict[str, NDArray[Any]] = {}
        for name, (dtype, shape) in (arrays or {}).items():
            # A copy: aligned, and the caller's own to write to.
            read[name] = np.ndarray(shape, _numbers(np.dtype(dtype)), body, offset).copy()
            offset += read[name].nbytes
        yield group, None if arrays is None else read
