"""Bundles that earlier versions wrote: somebody has kept them, and nothing else of the model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstream
from gradstream import FailedPreconditionError

FOLDER = Path(__file__).parents[2] / "data" / "bundles"
KEPT = [
    pytest.param(expected.parent / f"{name}.zip", known, id=f"{expected.parent.name}-{name}")
    for expected in FOLDER.glob("*/expected.json")
    for name, known in json.loads(expected.read_text()).items()
]


@pytest.mark.parametrize(("path", "expected"), KEPT)
def test_kept_bundles_predict_what_they_did(path: Path, expected: dict[str, Any]) -> None:
    bundle = gradstream.load(path)
    predictions = bundle.predict(expected["rows"])
    assert predictions.dtype == bundle.dtype
    tolerance = 1e-5 if bundle.dtype == "float32" else 1e-12
    np.testing.assert_allclose(predictions, expected["predictions"], rtol=tolerance, atol=tolerance)
    if expected["classes"]:
        assert bundle.classify(expected["rows"]).tolist() == expected["classes"]


def test_all_that_was_kept_is_there() -> None:
    """A bundle that is forgotten would prove nothing."""
    named = {parameters.values[0] for parameters in KEPT}
    others = {path for path in FOLDER.glob("*/*.zip") if path not in named}
    assert {path.name for path in others} == {"installed-module.zip"}
    for path in others:
        with pytest.raises(FailedPreconditionError, match="installed module"):
            gradstream.load(path).predict([[1, 2, 3]])
