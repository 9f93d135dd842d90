"""Workers train without the compiler of torch, and have it where a module of a user compiles."""

import subprocess
import sys

TRAIN_THEN_COMPILE = """
import sys
import gradstream_server.executors.preload
import numpy as np, torch
from gradstream_server.trainers.catalogue import OPTIMIZERS, complete
from gradstream_server.trainers.module import ModuleTrainer
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.problem import Problem

def loaded():
    return "torch._dynamo.eval_frame" in sys.modules

rows = np.ones((3, 2))
for optimizer in OPTIMIZERS:
    chosen = complete("optimizer", Choice(optimizer))
    problem = Problem(rows, rows[:, :1], epochs=2, learning_rate=0.01, batch_size=3, optimizer=chosen)
    trainer = ModuleTrainer(problem)
    list(trainer.train())
    trainer.resume(2, trainer.state())
assert not loaded(), optimizer
double = torch.compile(lambda x: x * 2, backend="eager")
assert double(torch.ones(2)).tolist() == [2, 2]
assert loaded()
import torch._dynamo
assert torch._dynamo is sys.modules["torch._dynamo"]
assert not torch._dynamo.is_compiling()
torch._dynamo.graph_break()
"""


def test_it_waits_until_something_compiles() -> None:
    """Every start of a server, and every worker that is replaced, would take half as long again."""
    done = subprocess.run(
        [sys.executable, "-c", TRAIN_THEN_COMPILE], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
