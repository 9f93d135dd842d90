"""model.json: all of a bundle but the numbers of its parameters. docs/bundle.md describes each field."""

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from gradstream.bundle.architecture import Shapes
from gradstream.bundle.bundle import Bundle, InputColumn, Origin, Value
from gradstream.bundle.checking import check_parameter_names
from gradstream.bundle.faults import damaged
from gradstream.errors import BundleError
from gradstream.events import FloatArray, Receipt, Scaling
from gradstream.spec import JsonValue, Part

MEMBER = "model.json"
FORMAT_VERSION = 1
_T = TypeVar("_T")


def write(bundle: Bundle) -> str:
    """The text of model.json."""
    scaling, receipt, origin = bundle.scaling, bundle.receipt, bundle.origin
    described = {
        "format_version": FORMAT_VERSION,
        "origin": {
            "name": origin.name,
            "version": origin.version,
            "job": origin.job,
            "gradstream": origin.gradstream,
        },
        "model": {"name": bundle.model.name, "options": bundle.model.options},
        "loss": {"name": bundle.loss.name, "options": bundle.loss.options},
        "intercept": bundle.intercept,
        "dtype": bundle.dtype,
        "parameters": [{"name": name, "shape": value.shape} for name, value in bundle.parameters.items()],
        "features": bundle.features,
        "targets": bundle.targets,
        "classes": bundle.classes,
        "columns": [_column(column) for column in bundle.columns],
        "nulls": bundle.nulls,
        "scaling": scaling and {"mean": scaling.mean.tolist(), "scale": scaling.scale.tolist()},
        "metrics": dict(bundle.metrics),
        "receipt": {
            "data_digest": receipt.data_digest,
            "parameter_digest": receipt.parameter_digest,
            "device": receipt.device,
            "threads": receipt.threads,
            "versions": dict(sorted(receipt.versions.items())),
        },
        "spec": bundle.spec,
    }
    return json.dumps(described, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _column(column: InputColumn) -> dict[str, Any]:
    described: dict[str, Any] = {"name": column.name}
    if column.categories:
        described["categories"] = column.categories
    if column.mean is not None:
        described["mean"] = column.mean
    return described


@dataclass(frozen=True)
class Description:
    """What model.json says, each field of the type that it has to have."""

    shapes: Shapes
    """Of the parameters, in order."""
    dtype: str
    fields: dict[str, Any]
    """Of `Bundle`, all but the parameters."""

    def bundle(self, parameters: Mapping[str, FloatArray]) -> Bundle:
        """With its parameters. BundleError when it does not go together."""
        return Bundle(parameters=parameters, **self.fields)


def read(content: bytes) -> Description:
    """What model.json says.

    Raises:
        BundleError: it is of another version of the format, or not what it has to be.
    """
    try:
        described = json.loads(
            content.decode(), object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        raise damaged(MEMBER, f"is no JSON that can be read: {str(error)[:200]}") from error
    root = _Reader(described, "")
    version = root.whole("format_version")
    if version != FORMAT_VERSION:
        what = f"is of version {version} of the format, and this gradstream reads version {FORMAT_VERSION}"
        raise BundleError(f"{MEMBER} {what}: use a newer gradstream", reason="BUNDLE_VERSION")
    shapes = _shapes(root)
    origin, receipt = root.object("origin"), root.object("receipt")
    fields: dict[str, Any] = {
        "origin": Origin(
            origin.text("name"), origin.whole("version"), origin.text("job"), origin.text("gradstream")
        ),
        "model": _part(root.object("model")),
        "loss": _part(root.object("loss")),
        "intercept": root.get("intercept", (bool,), "true or false"),
        "dtype": root.text("dtype"),
        "features": tuple(root.items("features", _Reader.own_text)),
        "targets": tuple(root.items("targets", _Reader.own_text)),
        "classes": tuple(root.items("classes", _Reader.own_value)),
        "columns": tuple(root.items("columns", _input_column)),
        "nulls": root.text("nulls"),
        "scaling": _scaling(root),
        "metrics": {name: root.object("metrics").number(name) for name in root.object("metrics").names},
        "receipt": Receipt(
            receipt.text("data_digest"),
            receipt.text("parameter_digest"),
            receipt.text("device"),
            receipt.whole("threads"),
            {name: receipt.object("versions").text(name) for name in receipt.object("versions").names},
        ),
        "spec": root.fields("spec"),
    }
    if fields["dtype"] not in ("float32", "float64"):
        raise damaged(f"{MEMBER}: dtype", f'is {fields["dtype"][:20]!r}; it has to be "float32" or "float64"')
    return Description(shapes, fields["dtype"], fields)


class _Reader:
    """A value of JSON, by its path, from which values of known types are read."""

    def __init__(self, value: Any, path: str) -> None:
        self._value = value
        self._path = path

    @property
    def names(self) -> list[str]:
        """Of an object."""
        return list(self._value)

    def has(self, name: str) -> bool:
        """Whether an object has a field, and one that is not null."""
        return self._value.get(name) is not None

    def get(self, name: str, kinds: Collection[type[_T]], said: str) -> _T:
        """A field of an object."""
        if not isinstance(self._value, dict):
            raise damaged(f"{MEMBER}: {self._path or 'it'}", "has to be an object")
        path = f"{self._path}.{name}" if self._path else name
        if name not in self._value:
            raise damaged(f"{MEMBER}: {path}", f"is missing; it has to be {said}")
        return _Reader(self._value[name], path).own(kinds, said)

    def own(self, kinds: Collection[type[_T]], said: str) -> _T:
        """The value itself; true and false are no numbers."""
        if type(self._value) not in kinds:
            raise damaged(f"{MEMBER}: {self._path}", f"has to be {said}")
        value: _T = self._value
        return value

    def text(self, name: str) -> str:
        return self.get(name, (str,), "text")

    def whole(self, name: str) -> int:
        return self.get(name, (int,), "a whole number")

    def number(self, name: str) -> float:
        return _float(self.get(name, (int, float), "a number"), f"{self._path}.{name}")

    def fields(self, name: str) -> dict[str, JsonValue]:
        kinds: tuple[type[dict[str, JsonValue]], ...] = (dict,)
        return self.get(name, kinds, "an object")

    def object(self, name: str) -> "_Reader":
        self.get(name, (dict,), "an object")
        return _Reader(self._value[name], f"{self._path}.{name}" if self._path else name)

    def items(self, name: str, of: Callable[["_Reader"], _T]) -> list[_T]:
        values: list[Any] = self.get(name, (list,), "a list")
        path = f"{self._path}.{name}" if self._path else name
        return [of(_Reader(value, f"{path}[{i}]")) for i, value in enumerate(values)]

    def own_text(self) -> str:
        return self.own((str,), "text")

    def own_whole(self) -> int:
        return self.own((int,), "a whole number")

    def own_number(self) -> float:
        return _float(self.own((int, float), "a number"), self._path)

    def own_value(self) -> Value:
        kinds: tuple[type[Value], ...] = (str, int, bool)
        return self.own(kinds, "text, a whole number, or true or false")


def _shapes(root: _Reader) -> Shapes:
    """Names and shapes of the parameters, whose numbers no integer of 64 bits could fail to count."""
    listed = root.items(
        "parameters", lambda each: (each.text("name"), each.items("shape", _Reader.own_whole))
    )
    check_parameter_names(name for name, _ in listed)
    shapes = {name: tuple(shape) for name, shape in listed}
    if len(shapes) < len(listed):
        raise damaged(f"{MEMBER}: parameters", "has a name twice")
    for i, shape in enumerate(shapes.values()):
        if len(shape) > 8 or any(not 0 <= extent < 1 << 32 for extent in shape):
            raise damaged(f"{MEMBER}: parameters[{i}].shape", "is no shape: at most 8 extents below 2^32")
    return shapes


def _part(reader: _Reader) -> Part:
    return Part(reader.text("name"), reader.fields("options"))


def _input_column(reader: _Reader) -> InputColumn:
    name = reader.text("name")
    categories = reader.items("categories", _Reader.own_value) if reader.has("categories") else []
    return InputColumn(name, tuple(categories), reader.number("mean") if reader.has("mean") else None)


def _scaling(root: _Reader) -> Scaling | None:
    if not root.has("scaling"):
        return None
    mean, scale = (
        np.array(root.object("scaling").items(name, _Reader.own_number), np.float64)
        for name in ("mean", "scale")
    )
    mean.flags.writeable = scale.flags.writeable = False
    return Scaling(mean, scale)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field is there twice")
    return fields


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number that JSON has")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:20]} is past all numbers")
    return number


def _float(number: float, path: str) -> float:
    try:
        return float(number)
    except OverflowError as error:
        raise damaged(f"{MEMBER}: {path}", "is past all numbers") from error
