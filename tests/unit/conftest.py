"""What unit tests share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradstream_server.trainers import catalogue, plugins


def _forget() -> None:
    for found_once in (catalogue.installed, catalogue.parts, plugins.versions):
        found_once.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where packages can be installed for the time of a test."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    _forget()
    yield tmp_path
    _forget()
    for name in set(sys.modules) - before:
        if name.startswith("test_"):
            del sys.modules[name]
