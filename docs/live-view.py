"""Draws docs/live-view.svg: what `gradstream train` shows on a terminal, two thirds through a real run.

python docs/live-view.py [HOST:PORT] > docs/live-view.svg
"""

import io
import sys

from rich.console import Console
from rich.terminal_theme import MONOKAI

from gradstream import Client
from gradstream.cli.live_view import LiveView

EPOCHS = 60_000

console = Console(record=True, force_terminal=True, width=84, highlight=False, file=io.StringIO())
with Client(sys.argv[1] if len(sys.argv) > 1 else None) as client:
    run = client.train(
        dataset=client.upload("examples/data/seattle-weather.csv"),
        target_columns="temp_max",
        trainer="module",
        epochs=EPOCHS,
        learning_rate=0.00005,
        standardize=True,
    )
    view = LiveView(run, None, "", console)
    for event in run.events():
        view.show(event)
        if len(run.epochs) > EPOCHS * 2 / 3:
            break
    console.print(
        "[green]$[/] gradstream train --trainer module --data seattle-weather.csv --target temp_max \\\n"
        f"    --standardize --learning-rate 0.00005 --epochs {EPOCHS}"
    )
    console.print(view.render())
    run.cancel()
print(console.export_svg(title="gradstream train", theme=MONOKAI))
