"""Checkpoints that a broken disk has changed, which a server has to notice."""

import os
import random
from pathlib import Path

from tests.chaos.scene import Scene


def damage(scene: Scene) -> None:
    """Damage the newest checkpoint of a job that lives, if there is one. The server is not to run."""
    folder = scene.target.data_dir / "checkpoints"
    jobs = [job for job in scene.jobs if (folder / job.id).is_dir() and not job.ended.is_set()]
    if not jobs:
        return
    job = scene.chance.choice(jobs)
    files = [path for path in (folder / job.id).iterdir() if not path.name.startswith(".")]
    if files:
        job.damaged += 1
        newest = max(files, key=lambda path: path.stat().st_mtime_ns)
        scene.count(scene.chance.choice((_flip, _flip, _cut_short, _remove))(newest, scene.chance))


def _flip(path: Path, chance: random.Random) -> str:
    content = bytearray(path.read_bytes())
    if content:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
    return "faults: bits flipped in checkpoints"


def _cut_short(path: Path, chance: random.Random) -> str:
    os.truncate(path, chance.randrange(max(1, path.stat().st_size)))
    return "faults: checkpoints cut short"


def _remove(path: Path, _: random.Random) -> str:
    path.unlink()
    return "faults: checkpoints removed"
