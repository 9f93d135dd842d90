"""What several kinds of tests share."""

from collections.abc import Iterator

import pytest

from tests.server import RunningServer, running_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server for all tests that do not need one of their own."""
    with running_server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server
