"""What several kinds of tests share."""

import asyncio
import inspect
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.server import RunningServer, running_server

# Cores are shared: how long an example takes says nothing.
settings.register_profile("gradstream", deadline=None)
settings.load_profile("gradstream")
# Threads that share cores with other tests wait for each other many times as long as they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# scikit-learn leaves out one of its checks of estimators without it. SciPy reads it when it is imported.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# A shell lets what it starts in the background ignore Ctrl-C, which the programs under test would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Set for tests that run several at a time; commands under test would take it for the width of their terminal.
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server for all tests that do not need one of their own."""
    with running_server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run tests that are `async def`, each on an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in arguments}))
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have recorded for people; what they print is lost where several run at once."""
    for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", []):
        for name, what in report.user_properties:
            terminalreporter.section(f"{name} of {report.nodeid}")
            terminalreporter.write_line(str(what))
