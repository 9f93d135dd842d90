"""Packages that bring models along, as pip would leave them in a folder, for tests."""

from pathlib import Path

DECLARATION = """
description = "A model of a test"
options = {"size": {"type": "integer", "minimum": 1, "maximum": 100, "default": 4}}
losses = ("mse", "log_loss", "cross_entropy")


def build(features, outputs, *, size):
    import torch
    from torch import nn

"""
"""All of a module but what `build` does, which is to be indented."""

NET = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(features, size)
            self.norm = nn.BatchNorm1d(size)
            self.drop = nn.Dropout(0.3)
            self.last = nn.Linear(size, outputs)
            self.scale = nn.Parameter(torch.ones(()))
            self.unused = nn.Parameter(torch.ones(3))
            self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)
            self.register_buffer("mean", torch.zeros(features))
            self.register_buffer("mask", torch.tensor([float("-inf")]), persistent=False)

        def forward(self, x):
            if self.training:
                self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(dim=0)
            return self.scale * self.last(self.drop(self.norm(self.first(x - self.mean))))

    return Net()
"""
"""The body of a `build`: all that a module may keep from update to update."""


def install(folder: Path, name: str, code: str, package: str = "", version: str = "1.0") -> None:
    """Put a package with one module into a folder, which declares the model `name`."""
    package = package or f"test-{name}"
    module = package.replace("-", "_")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[gradstream.modules]\n{name} = {module}\n")
