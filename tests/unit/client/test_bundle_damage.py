"""Bundles from strangers: whatever is wrong with one is told in a sentence, and nothing is run."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.client.bundles import bundle, described, packed, tensors, unpacked

import gradstream
from gradstream import BundleError

HOSTILE: dict[str, tuple[Callable[[], Any], str]] = {
    "no zip": (lambda: io.BytesIO(b"x" * 100), "is no zip archive"),
    "nothing": (lambda: io.BytesIO(b""), "is no zip archive"),
    "cut": (lambda: io.BytesIO(bundle().to_bytes()[:-30]), "is no zip archive"),
    "damaged": (
        lambda: io.BytesIO(bundle().to_bytes().replace(b'"bias"', b'"bios"')),
        "model.json is damaged",
    ),
    "path": (lambda: packed(unpacked() | {"../../etc/passwd": b"x"}), "holds '../../etc/passwd'"),
    "folder": (
        lambda: packed({f"a/{name}": text for name, text in unpacked().items()}),
        "holds 'a/README.md'",
    ),
    "no model.json": (lambda: packed({"model.safetensors": b""}), "model.json is missing"),
    "no parameters": (
        lambda: packed({"model.json": unpacked()["model.json"]}),
        "model.safetensors is missing",
    ),
    "bomb": (
        lambda: packed(unpacked() | {"model.json": b" " * (17 << 20)}, zipfile.ZIP_DEFLATED),
        "model.json is longer than the 16777216 bytes",
    ),
    "bomb of numbers": (
        lambda: packed(unpacked() | {"model.safetensors": bytes(8 << 20)}, zipfile.ZIP_DEFLATED),
        "model.safetensors is longer than",
    ),
    "bzip2": (lambda: packed(unpacked(), zipfile.ZIP_BZIP2), "compressed in a way"),
    "no JSON": (lambda: packed(unpacked() | {"model.json": b"{"}), "is no JSON"),
    "no UTF-8": (lambda: packed(unpacked() | {"model.json": b"\xff"}), "is no JSON"),
    "deep": (lambda: packed(unpacked() | {"model.json": b"[" * 100_000}), "is no JSON"),
    "NaN": (lambda: packed(unpacked() | {"model.json": b'{"format_version": NaN}'}), "NaN is no number"),
    "infinite": (
        lambda: packed(unpacked() | {"model.json": b'{"format_version": 1e999}'}),
        "past all numbers",
    ),
    "twice": (lambda: packed(unpacked() | {"model.json": b'{"a": 1, "a": 1}'}), "a field is there twice"),
    "a list": (lambda: packed(unpacked() | {"model.json": b"[]"}), "has to be an object"),
    "next version": (lambda: packed(described(format_version=2)), "version 2 .* reads version 1"),
    "a flag": (lambda: packed(described(format_version=True)), "format_version has to be a whole number"),
    "a dtype": (lambda: packed(described(dtype="object")), "dtype is 'object'"),
    "other dtype": (lambda: packed(described(dtype="float64")), "holds weight as F32"),
    "model": (lambda: packed(described(model={"name": "mlp", "options": {}})), "model.options.hidden"),
    "wide": (
        lambda: packed(
            described(
                model={
                    "name": "mlp",
                    "options": {
                        "hidden": [10**9],
                        "activation": "relu",
                        "normalization": "none",
                        "dropout": 0,
                    },
                }
            )
        ),
        r"hidden\[0\] has to be a whole number from 1 to 65536",
    ),
    "huge": (
        lambda: packed(described(parameters=[{"name": "weight", "shape": [1 << 31, 1 << 31]}])),
        "parameters of more than 1073741824 bytes",
    ),
    "negative": (
        lambda: packed(described(parameters=[{"name": "weight", "shape": [-1]}])),
        "is no shape",
    ),
    "other shape": (
        lambda: packed(
            described(parameters=[{"name": "weight", "shape": [3, 1]}, {"name": "bias", "shape": [1]}])
        ),
        r"holds weight as F32 \[1, 3\]; it has to be F32 \[3, 1\]",
    ),
    "path of a parameter": (
        lambda: packed(described(parameters=[{"name": "../weight", "shape": [1]}])),
        "'../weight' is no name of a parameter",
    ),
    "scale": (
        lambda: packed(described(scaling={"mean": [0, 0, 0], "scale": [1, 0, 1]})),
        "scaling.scale has to be finite, and a scale above 0",
    ),
    "few means": (lambda: packed(described(scaling={"mean": [0], "scale": [1]})), "has to be 3 numbers"),
    "columns": (lambda: packed(described(columns=[{"name": "area"}])), "encoded as other features"),
    "classes": (lambda: packed(described(classes=["a", "b"])), "without a loss of classes"),
    "loss": (lambda: packed(described(loss={"name": "log_loss", "options": {}})), "which linear has not"),
    "features twice": (lambda: packed(described(features=["a", "a", "b"])), "features has a name twice"),
    "metrics": (lambda: packed(described(metrics={"a": "b"})), "metrics.a has to be a number"),
    "large metric": (lambda: packed(described(metrics={"a": 10**400})), "metrics.a is past all numbers"),
    "header length": (
        lambda: packed(unpacked() | {"model.safetensors": b"\xff" * 64}),
        "its header is longer than it can be",
    ),
    "short": (lambda: packed(unpacked() | {"model.safetensors": b"\0"}), "its header is longer"),
    "header": (lambda: packed(tensors(b"{")), "model.safetensors is damaged"),
    "overlap": (
        lambda: packed(
            tensors(
                {
                    "weight": {"dtype": "F32", "shape": [1, 3], "data_offsets": [0, 12]},
                    "bias": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]},
                },
                b"\0" * 12,
            )
        ),
        "model.safetensors is damaged",
    ),
    "beyond": (
        lambda: packed(tensors({"weight": {"dtype": "F32", "shape": [1, 3], "data_offsets": [0, 1 << 60]}})),
        "model.safetensors is damaged",
    ),
    "overflow": (
        lambda: packed(tensors({"weight": {"dtype": "F32", "shape": [1 << 63, 4], "data_offsets": [0, 16]}})),
        "model.safetensors is damaged",
    ),
    "tensor twice": (
        lambda: packed(
            tensors(
                b'{"weight":{"dtype":"F32","shape":[1,3],"data_offsets":[0,12]},'
                b'"weight":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}'
            )
        ),
        "model.safetensors",
    ),
    "another tensor": (
        lambda: packed(tensors({"weigth": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}})),
        "'bias' is missing",
    ),
    "integers": (
        lambda: packed(
            tensors(
                {
                    "weight": {"dtype": "I32", "shape": [1, 3], "data_offsets": [0, 12]},
                    "bias": {"dtype": "F32", "shape": [1], "data_offsets": [12, 16]},
                }
            )
        ),
        "holds weight as I32",
    ),
    "other numbers": (
        lambda: packed(
            tensors(
                {
                    "weight": {"dtype": "F32", "shape": [1, 3], "data_offsets": [0, 12]},
                    "bias": {"dtype": "F32", "shape": [1], "data_offsets": [12, 16]},
                }
            )
        ),
        "are not those of the receipt",
    ),
    "NaN among them": (
        lambda: packed(
            tensors(
                {
                    "weight": {"dtype": "F32", "shape": [1, 3], "data_offsets": [0, 12]},
                    "bias": {"dtype": "F32", "shape": [1], "data_offsets": [12, 16]},
                },
                np.array([1, 2, np.nan, 4], np.float32).tobytes(),
            )
        ),
        "weight holds numbers that are not finite",
    ),
}


@pytest.mark.parametrize("which", HOSTILE)
def test_bundles_of_strangers(which: str) -> None:
    make, told = HOSTILE[which]
    with pytest.raises(BundleError, match=told) as raised:
        gradstream.load(make())
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


def test_a_member_that_is_longer_than_it_says() -> None:
    """A bomb need not tell its size."""
    content = packed(unpacked() | {"model.json": b" " * (1 << 20)}, zipfile.ZIP_DEFLATED).getvalue()
    size = (1 << 20).to_bytes(4, "little")
    assert content.count(size) >= 2
    with pytest.raises(BundleError, match=r"model\.json"):
        gradstream.load(io.BytesIO(content.replace(size, (500).to_bytes(4, "little"))))


def test_a_bundle_in_a_folder_is_checked_alike(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"model\.json is missing"):
        gradstream.load(tmp_path)
    os.mkfifo(tmp_path / "model.json")  # which nobody will ever write to
    with pytest.raises(BundleError, match=r"model\.json is missing, or no file"):
        gradstream.load(tmp_path)
    (tmp_path / "model.json").unlink()
    with (tmp_path / "model.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BundleError, match=r"model\.json is longer"):
        gradstream.load(tmp_path)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        gradstream.load(tmp_path / "nothing.zip")


def test_larger_than_allowed() -> None:
    with pytest.raises(BundleError, match="allow more with max_bytes") as raised:
        gradstream.load(io.BytesIO(bundle().to_bytes()), max_bytes=8)
    assert raised.value.reason == "BUNDLE_TOO_LARGE"
