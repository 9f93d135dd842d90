"""Starting: settings come from where they should, and what is wrong is said in one sentence."""

import sqlite3
import subprocess
from pathlib import Path

import pytest
from tests.disk import fill, small_disk
from tests.integration.server.calls import calls_to
from tests.server import SERVE, RunningServer, environment, running_server

from gradstream.v1 import system_service_pb2


def failing(*args: str, **settings: str) -> tuple[int, str]:
    """The exit code and stderr of a server that does not start."""
    done = subprocess.run(
        [*SERVE, *args], capture_output=True, text=True, timeout=60, env=environment(**settings), check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_a_flag_goes_over_the_environment_that_over_the_file_that_over_the_default(tmp_path: Path) -> None:
    """An operator's setting would be ignored."""
    file = tmp_path / "gradstream.toml"
    file.write_text("workers = 1\nmax_epochs = 1\nmax_queued_jobs = 2\nmax_watches = 3\n")
    env = environment(
        GRADSTREAM_MAX_EPOCHS="10", GRADSTREAM_MAX_QUEUED_JOBS="20", GRADSTREAM_CONFIG=str(file)
    )
    with (
        running_server(tmp_path / "data", "--max-epochs=100", env=env) as server,
        calls_to(server.address) as calls,
    ):
        info = calls.system.GetServerInfo(system_service_pb2.GetServerInfoRequest())
        limits = info.limits
        assert (limits.max_epochs, limits.max_queued_jobs, limits.max_watches) == (100, 20, 3)
        assert limits.max_data_bytes == 256 << 20
        assert info.workers == 1


def test_a_second_server_on_the_same_data(server: RunningServer) -> None:
    """Two servers would write over each other's jobs."""
    code, said = failing("--address=127.0.0.1:0", f"--data-dir={server.data_dir}")
    assert code == 1
    assert said.count("\n") == 1
    assert f"another server (process {server.process.pid}) uses the data directory {server.data_dir}" in said


def test_a_second_server_on_the_same_port(server: RunningServer, tmp_path: Path) -> None:
    """Two servers would share a port without a word, each with half of the calls."""
    code, said = failing(f"--address={server.address}", f"--data-dir={tmp_path / 'data'}")
    assert code == 1
    (sentence,) = [line for line in said.splitlines() if line.startswith("Error:")]
    assert f"cannot listen on {server.address}" in sentence
    assert "Traceback" not in said
    assert "stopped" not in said, "what never ran"


def test_a_data_directory_that_cannot_be_used(tmp_path: Path) -> None:
    """An operator would read a stack trace."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        code, said = failing("--address=127.0.0.1:0", f"--data-dir={path}")
        assert code == 1
        assert said.startswith(f"Error: cannot use the data directory {path}")
        assert said.count("\n") == 1


def test_a_data_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """An operator would read a stack trace, or lose jobs that seemed to be kept."""
    with small_disk(tmp_path, 1, "ro"):
        for path in (tmp_path, tmp_path / "below"):
            code, said = failing("--address=127.0.0.1:0", f"--data-dir={path}")
            assert (code, said.count("\n")) == (1, 1)
            assert said.startswith(
                f"Error: cannot use the data directory {path}: Read-only file system; name"
            )


@pytest.mark.parametrize("name", ["data", "checkpoints"])
def test_a_folder_in_the_data_directory_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    """An operator would read a stack trace, or see job after job fail."""
    folder = tmp_path / name

    def is_told(why: str) -> None:
        code, said = failing("--address=127.0.0.1:0", f"--data-dir={tmp_path}")
        assert (code, said) == (
            1,
            f"Error: cannot use the data directory {folder}: {why}; name another with --data-dir\n",
        )

    folder.touch()
    is_told("File exists")
    folder.unlink()
    folder.mkdir()
    with small_disk(folder, 1, "ro"):
        is_told("it cannot be written to")


def test_a_new_data_directory_on_a_full_disk(tmp_path: Path) -> None:
    """An operator would read a stack trace."""
    with small_disk(tmp_path, 1) as disk:
        path = disk / "new"
        path.mkdir()
        fill(disk)
        code, said = failing("--address=127.0.0.1:0", f"--data-dir={path}")
        assert (code, said.count("\n")) == (1, 1)
        assert said.startswith("Error: cannot use the da")
        assert "make room" in said


def test_a_database_that_is_none_and_one_of_a_newer_version(tmp_path: Path) -> None:
    """An operator would read a stack trace, or an older server write into what it does not understand."""
    path = tmp_path / "gradstream.sqlite"
    path.write_bytes(b"This is not a database." * 100)
    code, said = failing("--address=127.0.0.1:0", f"--data-dir={tmp_path}")
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith(f"Error: cannot use the database {path}: file is not a database; restore it")

    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES ('9999')")
    database.close()
    code, said = failing("--address=127.0.0.1:0", f"--data-dir={tmp_path}")
    assert (code, said.count("\n")) == (1, 1)
    assert "the database is of revision 9999" in said
    assert "use the version that has made it" in said


@pytest.mark.parametrize(
    ("args", "settings", "text"),
    [
        (["--workers=0"], {}, "workers is 0; it has to be at least 1"),
        (["--address=nonsense"], {}, "address is 'nonsense'; it has to be HOST:PORT"),
        (["--stop-grace=nan"], {}, "stop_grace is nan; it has to be at least 0"),
        (["--heartbeat=0"], {}, "heartbeat is 0.0; it has to be above 0"),
        (["--durability=none"], {}, "durability is 'none'; it has to be one of power, process"),
        (["--log-level=loud"], {}, "log_level is 'loud'; it has to be one of debug"),
        ([], {"GRADSTREAM_MAX_EPOCHS": "many"}, "'--max-epochs': 'many' is not a valid integer"),
        (["--config=FILE"], {}, "no setting epochs; there are address"),
    ],
)
def test_a_setting_that_is_wrong(
    tmp_path: Path, args: list[str], settings: dict[str, str], text: str
) -> None:
    """An operator would find out in production."""
    (tmp_path / "bad.toml").write_text("epochs = 3\n")
    args = [arg.replace("FILE", str(tmp_path / "bad.toml")) for arg in args]
    code, said = failing(f"--data-dir={tmp_path / 'data'}", *args, **settings)
    assert code == 2
    assert text in said.replace("\n", " ")
    assert "Traceback" not in said
