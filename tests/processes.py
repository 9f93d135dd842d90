"""The processes of this machine, as far as tests ask for them."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path

_PATIENCE_S = 20


def parent(pid: int) -> int:
    """The parent of a process.

    Raises:
        FileNotFoundError: there is no such process.
    """
    # After the name, which is in brackets and may hold anything: state, parent.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def command_line(pid: int) -> str:
    """How a process was started; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descendants(pid: int) -> set[int]:
    """The children of a process, their children, and so on."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = parent(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    found: set[int] = set()
    while more := {child for child, of in parents.items() if of in found | {pid}} - found:
        found |= more
    return found


def forked() -> set[int]:
    """The children of this process's own fork server; not those of servers that it has started."""
    # That pid has no public name.
    fork_server = getattr(forkserver._forkserver, "_forkserver_pid", None)
    found = set()
    for pid in descendants(os.getpid()):
        with suppress(FileNotFoundError, ProcessLookupError):
            if parent(pid) == fork_server:
                found.add(pid)
    return found


def maps(pid: int, library: str) -> bool:
    """Whether a process has a shared library loaded."""
    return library in Path(f"/proc/{pid}/maps").read_text()


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Ask until it is so: for what tells nobody when it happens."""
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {_PATIENCE_S} s: {what}"
        time.sleep(0.01)


def wait_for_end(pids: set[int]) -> None:
    """Wait until none of these processes is there any more."""
    wait_until(lambda: not any(map(alive, pids)), f"the end of processes {pids}")


def wait_until_idle(pid: int) -> None:
    """Wait until a process uses no processor any more."""
    used: list[str] = []

    def idle() -> bool:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used.append(" ".join(fields[11:13]))
        return len(used) > 30 and len(set(used[-30:])) == 1

    wait_until(idle, f"process {pid} idle")
