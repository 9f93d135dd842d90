"""Bundles: trained models as files that everybody can read, and that predict with NumPy alone.

docs/bundle.md describes the format.
"""

from gradstream.bundle.bundle import Bundle, InputColumn, Origin
from gradstream.bundle.predictor import Predictor
from gradstream.bundle.reading import load

__all__ = ["Bundle", "InputColumn", "Origin", "Predictor", "load"]
