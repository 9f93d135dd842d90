"""What every store of checkpoints has to do. A further one costs a function here, and a line in STORES."""

import hashlib
import json
import multiprocessing
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.disk import fill, small_disk

from gradstream_server.jobs.checkpoint import Checkpoint, CheckpointStore, CheckpointUnusable
from gradstream_server.jobs.events import Completed, Receipt
from gradstream_server.stores import checkpoints
from gradstream_server.stores.checkpoints import FileCheckpoints


def files(folder: Path) -> CheckpointStore:
    """Files in a folder."""
    return FileCheckpoints(folder / "checkpoints")


STORES: list[Callable[[Path], CheckpointStore]] = [files]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> CheckpointStore:
    made: CheckpointStore = request.param(tmp_path)
    return made


def reached(epoch: int = 7, numbers: int = 3) -> Checkpoint:
    """Training after an epoch, with numbers that tell which."""
    weight = np.full((1, numbers), epoch, "float32")
    return Checkpoint(
        seed=2**63 - 1,
        state={"weight": weight, "momentum/weight": weight / 3, "step": np.array(epoch)},
        result=Completed(
            epochs=epoch,
            final_loss=0.1 + 0.2,
            parameters={"weight": weight},
            receipt=Receipt("d" * 64, "p" * 64, "cuda:0", 4, {"numpy": "2.0", "torch": "2.13+cpu"}),
            training_s=1e-9,
            predictions=np.array([[1.5], [-0.0]]),
            unscaled_parameters={"weight": weight * 2.0, "bias": np.zeros(1)},
            scaling=(np.array([0.1]), np.array([3.0])),
        ),
    )


def same(one: Any, other: Any) -> bool:
    """Whether two checkpoints, or parts of them, are the same to the last bit, in the same types."""
    return pickle.dumps(plain(one)) == pickle.dumps(plain(other))


def plain(value: Any) -> Any:
    match value:
        case np.ndarray():
            return value.dtype.str, value.shape, value.tobytes()
        case tuple():
            return [plain(part) for part in value]
        case dict():
            return [(name, plain(part)) for name, part in value.items()]
        case Checkpoint() | Completed() | Receipt():
            return [plain(part) for part in vars(value).values()]
        case _:
            return repr(value)


arrays = hnp.arrays(
    st.sampled_from(["<f4", "<f8", ">f8", "<i8", "?"]), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)
)
numbers = hnp.arrays(st.sampled_from(["<f4", "<f8"]), hnp.array_shapes(max_dims=2))
doubles = hnp.arrays("<f8", 2)
named = st.dictionaries(st.text(max_size=5), numbers, max_size=3)
anything = st.builds(
    Checkpoint,
    seed=st.integers(0, 2**63 - 1),
    state=st.dictionaries(st.text(max_size=5), arrays, max_size=4),
    result=st.builds(
        Completed,
        epochs=st.integers(1, 2**62),
        final_loss=st.floats(),
        parameters=named,
        receipt=st.builds(
            Receipt,
            data_digest=st.text(max_size=5),
            parameter_digest=st.text(max_size=5),
            device=st.text(max_size=5),
            threads=st.integers(1, 100),
            versions=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
        ),
        training_s=st.floats(0, allow_infinity=False),
        predictions=st.none() | numbers,
        unscaled_parameters=st.none() | named,
        scaling=st.none() | st.tuples(doubles, doubles),
        validation_loss=st.none() | st.floats(),
        metrics=st.dictionaries(st.text(max_size=5), st.floats(), max_size=3),
        best_epoch=st.integers(0, 2**62),
        restored=st.booleans(),
    ),
    best_value=st.floats(),
)


@pytest.mark.parametrize("open_store", STORES)
@given(checkpoint=anything)
@example(checkpoint=replace(reached(), result=replace(reached().result, final_loss=5e-324)))
def test_a_checkpoint_comes_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory,
    open_store: Callable[[Path], CheckpointStore],
    checkpoint: Checkpoint,
) -> None:
    """A job that goes on after a crash would end with another model than one that nothing disturbed."""
    store = open_store(tmp_path_factory.getbasetemp())
    store.prepare("job")
    store.write("job", "a", checkpoint)
    assert same(store.read("job", "a"), checkpoint)


def test_what_was_read_can_be_trained_on(store: CheckpointStore) -> None:
    """An attempt that goes on would fail at its first update."""
    store.prepare("job")
    turned = np.arange(6.0).reshape(2, 3).T[::-1]
    store.write("job", "a", replace(reached(), state={"turned": turned}))
    found = store.read("job", "a").state["turned"]
    np.testing.assert_array_equal(found, turned)
    found += 1
    assert found.flags.aligned
    assert found.flags.c_contiguous


def test_what_is_not_there_is_told(store: CheckpointStore) -> None:
    """An attempt would fail for the lack of a checkpoint, where it could begin anew."""
    with pytest.raises(CheckpointUnusable, match="a of job nope is gone"):
        store.read("nope", "a")
    store.prepare("job")
    with pytest.raises(CheckpointUnusable, match="a of job job is gone"):
        store.read("job", "a")


def test_a_checkpoint_takes_the_place_of_one_of_the_same_name(store: CheckpointStore) -> None:
    """An attempt that trains epochs again would go on from what an earlier one has left."""
    store.prepare("job")
    store.prepare("job")
    for epoch in (1, 2):
        store.write("job", "a", reached(epoch))
    assert store.read("job", "a").epoch == 2


def test_checkpoints_are_removed(store: CheckpointStore) -> None:
    """Every checkpoint of every job would stay on the disk for ever, or another job's would go."""
    for job in ("one", "two"):
        store.prepare(job)
        for name in ("a", "b", "c"):
            store.write(job, name, reached())
    for _ in range(2):
        store.discard("one", "a")
        store.discard("nope", "a")
        with pytest.raises(CheckpointUnusable, match="gone"):
            store.read("one", "a")
    assert same(store.read("one", "b"), reached())
    assert sorted(store.jobs()) == ["one", "two"]
    for _ in range(2):
        store.remove("two")
        assert store.jobs() == ["one"]
    assert same(store.read("one", "c"), reached())
    store.remove("one")
    assert store.jobs() == []


def test_nothing_is_written_for_a_job_that_was_removed(store: CheckpointStore) -> None:
    """A worker that has not heard yet would leave files that nobody removes."""
    with pytest.raises(FileNotFoundError):
        store.write("job", "a", reached())
    store.prepare("job")
    store.remove("job")
    with pytest.raises(FileNotFoundError):
        store.write("job", "a", reached())
    assert store.jobs() == []


def _write_on(store: CheckpointStore, writes: Event) -> None:
    try:
        for epoch in range(1, 1_000_000):
            store.write("job", f"c{epoch % 2}", reached(epoch, 20_000))
            writes.set()
    except FileNotFoundError:
        return


@contextmanager
def _writing(store: CheckpointStore, lead_s: float) -> Iterator[SpawnProcess]:
    """A worker that has written checkpoints for so long, and goes on."""
    # Not a fork of this process: other threads may hold locks here, which nobody would release there.
    context = multiprocessing.get_context("spawn")
    writes = context.Event()
    worker = context.Process(target=_write_on, args=(store, writes))
    worker.start()
    try:
        assert writes.wait(30)
        time.sleep(lead_s)  # What happens next has to come at any moment of a write.
        yield worker
    finally:
        worker.kill()
        worker.join()


def test_a_worker_that_is_killed_leaves_what_it_had_written(store: CheckpointStore) -> None:
    """A crash in the wrong moment would take the checkpoint that is there for the case of a crash."""
    store.prepare("job")
    for name in ("c0", "c1"):
        store.write("job", name, reached(1, 20_000))
    seen = {1}
    for i in range(8):
        with _writing(store, lead_s=i * 0.0073) as worker:
            worker.kill()
            worker.join()
        for name in ("c0", "c1"):
            found = store.read("job", name)
            assert same(found, reached(found.epoch, 20_000))
            seen.add(found.epoch)
    assert len(seen) > 2, "the workers have written"
    store.remove("job")
    assert store.jobs() == []


def test_a_job_can_be_removed_while_its_worker_writes(store: CheckpointStore) -> None:
    """What a user deletes would come back, or the deletion would fail."""
    for i in range(8):
        store.prepare("job")
        with _writing(store, lead_s=i * 0.0017) as worker:
            store.remove("job")
            assert store.jobs() == []
            worker.join(20)
            assert worker.exitcode == 0
    assert store.jobs() == []


def test_a_store_goes_to_another_process(store: CheckpointStore) -> None:
    """Workers could not write checkpoints."""
    store.prepare("job")
    pickle.loads(pickle.dumps(store)).write("job", "a", reached())
    assert same(store.read("job", "a"), reached())


# Of files alone.


def written(folder: Path) -> tuple[FileCheckpoints, Path]:
    """A checkpoint, and its file."""
    store = FileCheckpoints(folder)
    store.prepare("job")
    store.write("job", "a", reached())
    return store, folder / "job" / "a"


@given(data=st.data())
def test_a_damaged_file_is_never_taken_for_a_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A job would go on from wrong numbers, and its user would never know."""
    store, path = written(tmp_path_factory.getbasetemp())
    whole = path.read_bytes()
    body = bytearray(whole)
    match data.draw(st.sampled_from(["flip", "cut", "extend", "clear"])):
        case "flip":
            body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
        case "cut":
            del body[data.draw(st.integers(0, len(body) - 1)) :]
        case "extend":
            body += data.draw(st.binary(min_size=1, max_size=100))
        case "clear":
            start, length = data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(1, 5000))
            body[start : start + length] = bytes(len(body[start : start + length]))
    assume(body != whole)
    path.write_bytes(body)
    with pytest.raises(CheckpointUnusable, match=r"a of job job is (damaged|of format)"):
        store.read("job", "a")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", None),
        ("epochs", "7"),
        ("final_loss", "low"),
        ("receipt", {"device": "cpu"}),
        ("arrays", []),
        ("arrays", {"state": {"weight": ["<f4", [10**12]]}}),
        ("arrays", {"state": {"weight": ["|O", [1, 2]]}}),
        ("arrays", {"state": {"weight": ["|S0", [10**12]]}}),
    ],
)
def test_a_file_that_somebody_has_made_up_is_damaged_too(tmp_path: Path, field: str, value: object) -> None:
    """A job would fail for good, or take its worker with it, where it could go on from an earlier point."""
    store, path = written(tmp_path)
    _, header, numbers = path.read_bytes().split(b"\n", 2)
    made_up = json.dumps(json.loads(header) | {field: value}).encode()
    for content in (made_up + b"\n" + numbers, b"no line", b"\xff\n", b"[" * 100_000 + b"\n"):
        digest = hashlib.sha256(content).hexdigest()
        path.write_bytes(f"gradstream checkpoint, format 2, sha256 {digest}\n".encode() + content)
        with pytest.raises(CheckpointUnusable, match="a of job job is damaged: its content is not"):
            store.read("job", "a")


def test_every_single_flipped_byte_is_noticed(tmp_path: Path) -> None:
    """The same, for each byte there is."""
    store, path = written(tmp_path)
    body = path.read_bytes()
    for i in range(len(body)):
        path.write_bytes(body[:i] + bytes([body[i] ^ 0x20]) + body[i + 1 :])
        with pytest.raises(CheckpointUnusable):
            store.read("job", "a")


def test_another_format_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an update an operator would look for a defect of his disk."""
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "FORMAT", 3)
        store, _ = written(tmp_path)
    with pytest.raises(CheckpointUnusable, match="is of format 3; this version reads format 2"):
        store.read("job", "a")


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """An attempt would fail for a fault of the disk, where it could begin anew."""
    (tmp_path / "job" / "a").mkdir(parents=True)
    with pytest.raises(CheckpointUnusable, match="a of job job cannot be read: Is a directory"):
        FileCheckpoints(tmp_path).read("job", "a")


def test_a_full_disk_costs_nothing_but_the_new_one(tmp_path: Path) -> None:
    """A full disk would take the checkpoint that was there, or stay full of halves."""
    with small_disk(tmp_path, 1) as disk:
        store, path = written(disk)
        fill(disk)
        with pytest.raises(OSError, match="No space left"):
            store.write("job", "a", reached(8, 100_000))
        assert [file.name for file in path.parent.iterdir()] == ["a"]
        assert same(store.read("job", "a"), reached())


def test_objects_are_refused(tmp_path: Path) -> None:
    """A checkpoint would come back as addresses of memory that is gone."""
    store = FileCheckpoints(tmp_path)
    store.prepare("job")
    with pytest.raises(TypeError, match="holds numbers"):
        store.write("job", "a", replace(reached(), state={"x": np.array([object()])}))
    assert list((tmp_path / "job").iterdir()) == []


def test_a_removal_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    """A crash while a job is removed would leave its files for ever."""
    store, path = written(tmp_path)
    path.parent.rename(tmp_path / ".removed-job")
    assert store.jobs() == ["job"]
    store.remove("job")
    assert list(tmp_path.iterdir()) == []


def test_a_worker_imports_nothing_heavy_for_it() -> None:
    """Each worker would take longer to start, and more memory."""
    code = (
        "import sys, gradstream_server.stores.checkpoints; "
        "print([name for name in ('torch', 'grpc', 'google.protobuf', 'sqlalchemy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
