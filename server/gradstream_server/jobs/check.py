"""Collects what is wrong with a spec, so that all of it is told at once."""

import difflib
import math
from collections.abc import Collection

import numpy as np

from gradstream_server.jobs.errors import InvalidSpec, Violation
from gradstream_server.jobs.spec import Dtype, FloatArray

_MOST_COMPARED = 1 << 19
"""Characters times characters that are compared to find what is near: nobody else is served meanwhile."""


class Check:
    """What is wrong with the fields of a spec."""

    def __init__(self) -> None:
        self._violations: list[Violation] = []

    def fail(self, field: str, description: str) -> None:
        """Note that a field, by its path within the spec, is wrong."""
        self._violations.append(Violation(f"spec.{field}", description))

    def done(self) -> None:
        """Raise InvalidSpec if anything was wrong so far."""
        if self._violations:
            raise InvalidSpec(self._violations)

    def whole(self, field: str, value: int | None, least: int, most: int | None = None) -> None:
        """A whole number, where one is given, has to be in a range."""
        if value is not None and (value < least or (most is not None and value > most)):
            allowed = f"at least {least}" if most is None else f"from {least} to {most}"
            self.fail(field, f"is {value}; it has to be {allowed}")

    def number(
        self, field: str, value: float | None, above: float = -math.inf, at_least: float = -math.inf
    ) -> None:
        """A number, where one is given, has to be finite and in a range."""
        if value is not None and not (math.isfinite(value) and value > above and value >= at_least):
            allowed = f"above {above:g}" if above > -math.inf else f"at least {at_least:g}"
            self.fail(field, f"is {value:g}; it has to be finite and {allowed}")

    def fits(self, field: str, array: FloatArray, dtype: Dtype) -> None:
        """Numbers have to be finite, also in the training dtype."""
        finite = np.isfinite(array)
        if not finite.all():
            index = np.unravel_index(int(np.argmin(finite)), array.shape)
            self.fail(
                field,
                f"holds {array[index]}{_at(index)}; only finite numbers can be used",
            )
        elif dtype == "float32" and array.dtype == np.float64:
            large = np.abs(array) > np.finfo(np.float32).max
            if large.any():
                index = np.unravel_index(int(np.argmax(large)), array.shape)
                self.fail(
                    field, f"holds {array[index]}{_at(index)}, too large for float32; use dtype float64"
                )


def nearest(name: str, names: Collection[str]) -> str:
    """A hint at the name that may have been meant; empty when none is near."""
    alike = sorted(names, key=lambda other: abs(len(other) - len(name)))
    length = max([1, *map(len, names)]) * max(1, len(name))
    near = [other for other in names if other.lower() == name.lower()]
    near = near or difflib.get_close_matches(name, alike[: max(1, _MOST_COMPARED // length)], 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _at(index: tuple[np.intp, ...]) -> str:
    places = [f"{axis} {i + 1}" for axis, i in zip(("row", "column"), index, strict=False)]
    return f" at {', '.join(places)}" if places else ""
