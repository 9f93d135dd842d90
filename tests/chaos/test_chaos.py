"""Jobs survive whatever happens: nothing that a user was shown or promised is ever lost."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.chaos.round import run_round

SEED = 1
SECONDS = 90


@pytest.mark.timeout(600)
def test_nothing_is_lost(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Jobs, epochs or events would be lost, told twice, or not be what an undisturbed run gives."""
    report = run_round(SEED, SECONDS, tmp_path)
    record_property(f"chaos of seed {SEED}", str(report))
    assert not report.findings, f"seed {SEED}, in {tmp_path}: {report}"
