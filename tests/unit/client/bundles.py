"""Bundles made by hand, and taken apart."""

import io
import json
import struct
import zipfile
from typing import Any

import numpy as np

import gradstream
from gradstream import Bundle
from gradstream.bundle.digest import digest

WEIGHT, BIAS = np.array([[1.5, 2.0, -1.0]], np.float32), np.array([0.5], np.float32)


def bundle(**fields: Any) -> Bundle:
    """price = 1.5 area + (2 for blue, -1 for red) + 0.5."""
    parameters = fields.get("parameters", {"weight": WEIGHT, "bias": BIAS})
    receipt = gradstream.Receipt("d" * 64, digest(parameters), "cpu", 1, {"numpy": "2.4.6"})
    columns = gradstream.InputColumn("area"), gradstream.InputColumn("color", ("blue", "red"))
    known: dict[str, Any] = {
        "model": gradstream.Part("linear", {}),
        "loss": gradstream.Part("mse", {}),
        "intercept": True,
        "dtype": "float32",
        "parameters": parameters,
        "features": ("area", "color=blue", "color=red"),
        "targets": ("price",),
        "columns": columns,
        "receipt": receipt,
        "metrics": {"final_loss": 0.25},
        "origin": gradstream.Origin("houses", 3, "job-1", "0.1.0"),
        "spec": {"trainer": "manual", "epochs": "20"},
    }
    return Bundle(**known | fields)


def with_means() -> Bundle:
    columns = gradstream.InputColumn("area", mean=10.0), gradstream.InputColumn("color", ("blue", "red"))
    return bundle(columns=columns, nulls="mean")


def unpacked(made: Bundle | None = None) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO((made or bundle()).to_bytes())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> io.BytesIO:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content


def described(**changes: Any) -> dict[str, bytes]:
    """A bundle whose model.json says something else."""
    files = unpacked()
    files["model.json"] = json.dumps(json.loads(files["model.json"]) | changes).encode()
    return files


def tensors(header: Any, numbers: bytes = b"\0" * 16) -> dict[str, bytes]:
    """A bundle with another file of parameters."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return unpacked() | {"model.safetensors": struct.pack("<Q", len(text)) + text + numbers}
