"""What Linux tells of a process in /proc."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """Memory of a process, in MiB."""

    resident: float
    """All that it holds, what it shares with others included."""
    proportional: float
    """The same, with what is shared divided among those who share it."""
    own: float
    """What would be free again if it ended."""
    anonymous: float
    """What it has allocated; nothing of the libraries, which processes that come and go may share with it."""


def memory(process: int) -> Memory:
    """The memory of a process as it is now."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    mebibytes = {name: int(kibibytes) / 1024 for name, kibibytes in re.findall(r"(\w+): +(\d+) kB", text)}
    own = mebibytes["Private_Clean"] + mebibytes["Private_Dirty"]
    return Memory(mebibytes["Rss"], mebibytes["Pss"], own, mebibytes["Anonymous"])


_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(process: int) -> float:
    """CPU time that a process has used, in seconds."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS


def descendants(process: int) -> Iterator[int]:
    """The processes that a process has started, and those that they have."""
    for task in Path(f"/proc/{process}/task").iterdir():
        try:
            children = (task / "children").read_text()
        except FileNotFoundError:
            continue  # The thread has ended meanwhile.
        for child in map(int, children.split()):
            yield child
            yield from descendants(child)


def command(process: int) -> str:
    """The command line of a process."""
    return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def has_loaded(process: int, library: str) -> bool:
    """Whether a shared library with this in its name is mapped into a process."""
    return library in Path(f"/proc/{process}/maps").read_text()
