"""Jobs survive whatever happens: nothing that a user was shown or promised is ever lost."""

from pathlib import Path

import pytest
from tests.chaos.round import run_round

SEED = 1
SECONDS = 90


@pytest.mark.timeout(600)
def test_nothing_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Jobs, epochs or events would be lost, told twice, or not be what an undisturbed run gives."""
    report = run_round(SEED, SECONDS, tmp_path)
    with capsys.disabled():
        print(f"\nchaos of seed {SEED}, in {tmp_path}:\n{report}")
    assert not report.findings, f"seed {SEED}, in {tmp_path}: {report}"
