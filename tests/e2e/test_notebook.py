"""The notebook of the examples, and a run that shows itself in it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from tests.command import environment
from tests.server import RunningServer

NOTEBOOK = Path(__file__).parents[2] / "examples/three-gradients.ipynb"


def execute(notebook: Any, server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Run all cells, and return what they show at their ends."""
    monkeypatch.setenv("GRADSTREAM_SERVER", server.address)
    client = NotebookClient(notebook, timeout=100, kernel_name="python3", allow_errors=False)
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    return [output.data for output in outputs if "data" in output]


@pytest.mark.filterwarnings("ignore")  # of the libraries that run notebooks
def test_the_story_of_the_three_gradients_holds(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its claims are asserted in its cells; and what is kept of its outputs is as it would be now."""
    kept = nbformat.read(NOTEBOOK, 4)
    shown = [output.data for cell in kept.cells for output in cell.get("outputs", ()) if "data" in output]
    again = execute(nbformat.read(NOTEBOOK, 4), server, monkeypatch)
    assert [sorted(data) for data in shown] == [sorted(data) for data in again]
    assert "f(5)" in again[0]["text/html"]
    assert "<svg" in again[0]["text/html"]


@pytest.mark.filterwarnings("ignore")
def test_a_run_shows_itself_while_others_read_it_too(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
from gradstream import Client, EpochUpdate
run = Client().train(trainer="manual", epochs=3000, validation=1)
display(run)
assert len([event for event in run if isinstance(event, EpochUpdate)]) == 3000
failed = Client().train(trainer="manual", learning_rate=1.0, epochs=1000)
display(failed)
from gradstream.sklearn import GradstreamRegressor
model = GradstreamRegressor(trainer="manual", epochs=30, progress=True).fit([[1.0], [2.0]], [1.0, 2.0])
failed
"""
    cell = nbformat.v4.new_code_cell(code)
    shown = execute(nbformat.v4.new_notebook(cells=[cell]), server, monkeypatch)
    finished, failed, fitted, _ = (data["text/html"] for data in shown)
    for word in ("epoch 3,000/3,000", "succeeded", "validation loss", "<svg"):
        assert word in finished
    assert "has diverged" in failed
    assert "epoch 30/30" in fitted
    assert "SUCCEEDED, 3000 epochs received" in shown[0]["text/plain"]


def test_in_a_terminal_it_is_a_line_of_text(server: RunningServer) -> None:
    code = "from gradstream import Client; run = Client().train(); run.result(); display(run)"
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=nocolor", "-c", code],
        capture_output=True, text=True, timeout=100, env=environment(server.address), check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("<Run of job ")
    assert "html" not in done.stdout
