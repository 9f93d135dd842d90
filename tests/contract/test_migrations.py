"""Migrations: data of an earlier version go on working, and a new store has the tables as written."""

import json
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alembic import command, op
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text
from tests.disk import small_disk
from tests.domain import resolved, table

from gradstream.v1 import event_pb2, spec_pb2
from gradstream_server import stores
from gradstream_server.jobs.codec import EventRecord
from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.events import Checkpointed
from gradstream_server.jobs.job import Job, JobState
from gradstream_server.jobs.model import Model
from gradstream_server.jobs.spec import summarize
from gradstream_server.rpc.codec import ProtoCodec
from gradstream_server.rpc.tensors import to_tensor
from gradstream_server.stores.database import Database, StoreError, migrate
from gradstream_server.stores.models import SqlModelStore
from gradstream_server.stores.rows import to_row
from gradstream_server.stores.schema import HEAD, METADATA
from gradstream_server.stores.sql import SqlJobStore

CREATED = datetime(2025, 11, 1, 12, tzinfo=UTC)
STARTED = CREATED + timedelta(microseconds=1)
ENDED = CREATED + timedelta(hours=1)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return create_engine(f"sqlite:///{tmp_path / 'jobs.sqlite'}")


def test_migrations_make_the_tables_of_the_schema(engine: Engine) -> None:
    """A column that is in the schema but in no migration would break the first server that is updated."""
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_revision() == HEAD
    engine.dispose()


def test_a_store_that_is_up_to_date_stays_as_it_is(engine: Engine) -> None:
    """Each start would rewrite the tables, or lose what is in them."""
    for _ in range(2):
        migrate(engine)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS mark (x INTEGER)"))
    assert inspect(engine).has_table("mark")
    assert inspect(engine).has_table("jobs")
    engine.dispose()


@pytest.mark.parametrize("name", ["with space", "50% off", "what?", "a#b", "ümläut"])
def test_the_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    """A user's data directory would end up under another name, or nowhere."""
    folder = tmp_path / name
    folder.mkdir()
    SqlJobStore.open_sqlite(folder / "jobs.sqlite").close()
    assert (folder / "jobs.sqlite").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


def migrate_to(engine: Engine, revision: str) -> None:
    """Make a database of an earlier version."""
    config = Config()
    config.set_main_option("script_location", str(Path(stores.__path__[0]) / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def event(sequence: int, **payload: Any) -> bytes:
    return event_pb2.TrainingEvent(sequence=sequence, **payload).SerializeToString()


def state(name: str) -> dict[str, Any]:
    return {"state_change": event_pb2.StateChange(state=event_pb2.JobState.Value(f"JOB_STATE_{name}"))}


BEGUN: list[dict[str, Any]] = [state("QUEUED"), state("RUNNING"), {"started": event_pb2.Started(rows=3)}]
UPDATES: dict[str, Any] = {"epoch_updates": event_pb2.EpochUpdates(epochs=[1], losses=[0.5])}
OLD_JOBS: dict[str, tuple[int, list[dict[str, Any]]]] = {
    # By the state they are in: the attempt, and the log.
    "QUEUED": (0, [state("QUEUED")]),
    "RUNNING": (1, [*BEGUN, UPDATES]),
    "CANCELLING": (1, [*BEGUN[:2], state("CANCELLING"), BEGUN[2]]),
    "SUCCEEDED": (1, [*BEGUN, UPDATES, {"completed": event_pb2.Completed(epochs=1)}]),
    "FAILED": (1, [*BEGUN[:2], state("FAILED")]),
    "CANCELLED": (0, [state("QUEUED"), state("CANCELLED")]),
}
FAULT = Fault(FaultReason.SERVER_STOPPED, "the server stopped", {})


@pytest.fixture
def old_database(engine: Engine, tmp_path: Path) -> Path:
    """One that version 0001 has left, with a job in each state."""
    migrate_to(engine, "0001")
    codec = ProtoCodec()
    with engine.begin() as connection:
        for i, (name, (attempt, log)) in enumerate(OLD_JOBS.items()):
            ended = JobState(name) in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
            spec = resolved(device="cpu", data=table()) if i % 2 else resolved(device="cpu")
            fault = {"reason": FAULT.reason, "message": FAULT.message, "facts": FAULT.facts}
            row = {
                "id": name.lower(),
                "request_id": f"request-{i}",
                "spec": codec.encode_spec(spec),
                "state": name,
                "create_time": f"{CREATED:%Y-%m-%d %H:%M:%S.%f}",
                "start_time": f"{STARTED:%Y-%m-%d %H:%M:%S.%f}" if attempt else None,
                "end_time": f"{ENDED:%Y-%m-%d %H:%M:%S.%f}" if ended else None,
                "attempt": attempt,
                "last_sequence": len(log),
                "epochs_done": UPDATES in log,
                "last_loss": 0.5 if UPDATES in log else None,
                "fault": json.dumps(fault) if name == "FAILED" else None,
            }
            columns = ", ".join(row)
            values = ", ".join(f":{column}" for column in row)
            connection.execute(text(f"INSERT INTO jobs ({columns}) VALUES ({values})"), row)
            for sequence, payload in enumerate(log, 1):
                connection.execute(
                    text("INSERT INTO events VALUES (:job, :sequence, :body)"),
                    {"job": name.lower(), "sequence": sequence, "body": event(sequence, **payload)},
                )
    engine.dispose()
    return tmp_path / "jobs.sqlite"


def test_jobs_of_an_earlier_version_are_there_and_go_on(old_database: Path) -> None:
    """After an update users would find their jobs changed or gone, and those that waited stay for ever."""
    store = SqlJobStore.open_sqlite(old_database)
    codec = ProtoCodec()
    for i, (name, (attempt, log)) in enumerate(OLD_JOBS.items()):
        ended = name in ("SUCCEEDED", "FAILED", "CANCELLED")
        spec = resolved(device="cpu", data=table()) if i % 2 else resolved(device="cpu")
        assert store.get(name.lower()) == Job(
            id=name.lower(),
            request_id=f"request-{i}",
            spec=codec.encode_spec(spec),
            create_time=CREATED,
            data_digest=summarize(table()).digest if i % 2 else "",
            state=JobState(name),
            update_time=ENDED if ended else STARTED if attempt else CREATED,
            start_time=STARTED if attempt else None,
            end_time=ENDED if ended else None,
            attempt=attempt,
            attempt_time=STARTED if attempt else None,
            last_sequence=len(log),
            has_started=name in ("RUNNING", "CANCELLING", "SUCCEEDED"),
            epochs_done=int(UPDATES in log),
            last_loss=0.5 if UPDATES in log else None,
            fault=FAULT if name == "FAILED" else None,
            model_version=int(name == "SUCCEEDED"),
        )
        records = [
            EventRecord(sequence, event(sequence, **payload)) for sequence, payload in enumerate(log, 1)
        ]
        assert store.events(name.lower(), 0, 10**6) == records
    assert [job.id for job in store.unfinished()] == ["queued", "running", "cancelling"]
    assert store.uses_data(summarize(table()).digest)
    store.delete("running")
    assert store.events("running", 0, 100) == []
    store.close()


def test_jobs_of_revision_0002_are_there(engine: Engine, tmp_path: Path) -> None:
    """After an update users would find their jobs gone, or in a group that nobody has named."""
    migrate_to(engine, "0002")
    spec = ProtoCodec().encode_spec(resolved(device="cpu"))
    kept = Job(
        id="a",
        request_id="r",
        spec=spec,
        create_time=CREATED,
        data_digest="d",
        priority=7,
        cancel_on_disconnect=True,
        state=JobState.PAUSED,
        update_time=STARTED,
        start_time=STARTED,
        attempt=2,
        attempt_time=STARTED,
        restarts=1,
        earlier_attempts_s=0.5,
        last_sequence=1,
        has_started=True,
        epochs_done=3,
        last_loss=0.5,
        checkpoints=(Checkpointed(3, "c"),),
    )
    row = to_row(kept)
    added = ("group", "validation_digest", "last_validation_loss", "model_name", "model_version", "owner")
    for name in added:
        del row[name]
    row |= {
        name: f"{value:%Y-%m-%d %H:%M:%S.%f}"
        for name, value in row.items()
        if name.endswith("_time") and value
    }
    with engine.begin() as connection:
        values = ", ".join(f":{column}" for column in row)
        connection.execute(text(f"INSERT INTO jobs ({', '.join(row)}) VALUES ({values})"), row)
        connection.execute(
            text("INSERT INTO events VALUES ('a', 1, :body)"), {"body": event(1, **state("QUEUED"))}
        )
    engine.dispose()
    store = SqlJobStore.open_sqlite(tmp_path / "jobs.sqlite")
    assert store.get("a") == kept
    assert [record.sequence for record in store.events("a", 0, 1000)] == [1]
    assert store.page([], None, 10) == ([kept], None)
    assert store.page([], None, 10, "g") == ([], None)
    store.close()


def test_jobs_of_revision_0004_leave_models(engine: Engine, tmp_path: Path) -> None:
    """After an update users would have no models of what they trained before, or some that cannot predict."""
    migrate_to(engine, "0004")
    scaling = event_pb2.Scaling(mean=[1, 2], scale=[3, 4])
    weight = spec_pb2.Parameter(name="weight", value=to_tensor(np.ones((1, 2))))
    result = event_pb2.Completed(epochs=1, final_loss=0.5, parameters=[weight], validation_loss=0.25)
    reached = {"state": event_pb2.JOB_STATE_CANCELLED, "result_so_far": result}
    ends: dict[str, dict[str, Any]] = {
        "SUCCEEDED": {"completed": result},
        "CANCELLED": {"state_change": event_pb2.StateChange(**reached)},
        "FAILED": state("FAILED"),
    }
    begun = [*BEGUN[:2], {"started": event_pb2.Started(rows=3, scaling=scaling)}, UPDATES]
    spec = ProtoCodec().encode_spec(resolved(device="cpu", data=table(), standardize=True))
    with engine.begin() as connection:
        for i, (name, end) in enumerate(ends.items()):
            job = Job(name, f"r{i}", spec, CREATED, state=JobState(name), end_time=ENDED, last_sequence=5)
            row = to_row(job)
            del row["model_name"], row["model_version"], row["owner"]
            row |= {
                "create_time": f"{CREATED:%Y-%m-%d %H:%M:%S.%f}",
                "end_time": f"{ENDED:%Y-%m-%d %H:%M:%S.%f}",
            }
            values = ", ".join(f":{column}" for column in row)
            columns = ", ".join(f'"{column}"' for column in row)
            connection.execute(text(f"INSERT INTO jobs ({columns}) VALUES ({values})"), row)
            for sequence, payload in enumerate([*begun, end], 1):
                connection.execute(
                    text("INSERT INTO events VALUES (:job, :sequence, :body)"),
                    {"job": name, "sequence": sequence, "body": event(sequence, **payload)},
                )
    engine.dispose()
    database = Database.open_sqlite(tmp_path / "jobs.sqlite")
    jobs, models = SqlJobStore(database), SqlModelStore(database)
    outcome = event_pb2.Completed(epochs=1, final_loss=0.5, validation_loss=0.25, scaling=scaling)
    expected = [
        Model(name, 1, name, ENDED, spec, outcome.SerializeToString()) for name in ("CANCELLED", "SUCCEEDED")
    ]
    assert models.page("", None, 10) == (expected, None)
    kept = {name: found.model_version for name in ends if (found := jobs.get(name))}
    assert kept == {"SUCCEEDED": 1, "CANCELLED": 1, "FAILED": 0}
    database.close()


def test_a_migration_that_is_interrupted_changes_nothing(
    old_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is killed while it is updated would never start again."""

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(op, "create_index", cut)
        with pytest.raises(KeyboardInterrupt):
            SqlJobStore.open_sqlite(old_database)
    with sqlite3.connect(old_database) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert "priority" not in {row[1] for row in connection.execute("PRAGMA table_info(jobs)")}
    connection.close()
    store = SqlJobStore.open_sqlite(old_database)
    assert len(store.page([], None, 100)[0]) == len(OLD_JOBS)
    store.close()


def test_a_database_of_a_newer_version_is_left_alone(engine: Engine, tmp_path: Path) -> None:
    """Who goes back to an earlier version would lose what the newer one has kept."""
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    before = (tmp_path / "jobs.sqlite").read_bytes()
    with pytest.raises(StoreError, match=f"revision 9999.*up to {HEAD}.*--data-dir"):
        SqlJobStore.open_sqlite(tmp_path / "jobs.sqlite")
    assert (tmp_path / "jobs.sqlite").read_bytes() == before, "not even settings of its own"
    assert [path.name for path in tmp_path.iterdir()] == ["jobs.sqlite"]


def test_a_newer_revision_that_is_in_the_log_still(tmp_path: Path) -> None:
    """A newer version that was killed has its migration in the log alone."""
    path = tmp_path / "jobs.sqlite"
    SqlJobStore.open_sqlite(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as killed:
        killed.execute("PRAGMA wal_autocheckpoint=0")
        killed.execute("UPDATE alembic_version SET version_num = '9999'")
        files = [path, path.with_name("jobs.sqlite-wal")]
        before = [file.read_bytes() for file in files]
        with pytest.raises(StoreError, match="revision 9999"):
            SqlJobStore.open_sqlite(path)
        assert [file.read_bytes() for file in files] == before


def test_a_database_that_does_not_tell_its_revision(engine: Engine, tmp_path: Path) -> None:
    """An operator would read of a table that exists already, and not that the database is damaged."""
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
    engine.dispose()
    with pytest.raises(StoreError, match=r"does not tell which revision.*restore it, or name another"):
        SqlJobStore.open_sqlite(tmp_path / "jobs.sqlite")


@pytest.mark.parametrize("made_before", [False, True])
def test_a_read_only_folder_is_told(tmp_path: Path, made_before: bool) -> None:
    """An operator would read of a defect in the server, not of the mount that he has to change."""
    with small_disk(tmp_path, 16) as disk:
        path = disk / "jobs.sqlite"
        if made_before:
            SqlJobStore.open_sqlite(path).close()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(StoreError, match=f"cannot use the database {path}: .*--data-dir"):
            SqlJobStore.open_sqlite(path)


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    """An operator would not know which file is damaged."""
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(
        StoreError, match=f"cannot use the database {path}: file is not a database; restore it"
    ):
        SqlJobStore.open_sqlite(path)
