"""Plain stubs of the server that most tests share."""

from collections.abc import Iterator

import pytest
from tests.integration.server.calls import Calls, calls_to
from tests.server import RunningServer


@pytest.fixture(scope="session")
def calls(server: RunningServer) -> Iterator[Calls]:
    """The services of the shared server."""
    with calls_to(server.address) as calls:
        yield calls
