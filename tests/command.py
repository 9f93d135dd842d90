"""The installed `gradstream` command in a process of its own, for tests."""

import os
import subprocess
import sys
from pathlib import Path

GRADSTREAM = str(Path(sys.executable).with_name("gradstream"))
_TIMEOUT_S = 60


def environment(server: str | None = None, **more: str) -> dict[str, str]:
    """The environment of a command, without what the caller's own would add."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRADSTREAM_")}
    if server is not None:
        kept["GRADSTREAM_SERVER"] = server
    return {**kept, **more}


def gradstream(
    *args: str, server: str | None = None, stdin: str | None = None, timeout_s: float = _TIMEOUT_S
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [GRADSTREAM, *args],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment(server),
        input=stdin,
        check=False,
    )
