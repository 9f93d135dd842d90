"""Which parts a training is put together from: chosen by name, with options that fit their schemas."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from gradstream_server.jobs.check import Check, nearest
from gradstream_server.trainers import catalogue
from gradstream_server.trainers.catalogue import LOSSES, parts
from gradstream_server.trainers.part import Choice, Kind, Part

_NO_CHOICE = Choice("")
_MOST_SHOWN = 60
_TOLD = ("type", "enum", "exclusiveMinimum", "minimum", "exclusiveMaximum", "maximum", "minItems", "maxItems")
"""What of a schema `allowed` puts into words; installed modules may say more."""


def check_parts(check: Check, trainer: str, chosen: Mapping[Kind, Choice]) -> None:
    """What is chosen has to be there, the trainer has to have it, and its options have to be in range."""
    for kind, choice in chosen.items():
        there = parts()[kind]
        part = there.get(choice.name)
        if part is None:
            said = f"is {choice.name!r}" if choice.name else "is missing"
            if kind == "model" and choice.name in catalogue.installed().unusable:
                said += ", which is installed but cannot be used, as the server's log tells"
            check.fail(f"{kind}.name", f"{said}; there are {', '.join(there)}{nearest(choice.name, there)}")
            continue
        if trainer not in part.trainers:
            check.fail(f"{kind}.name", f"is {choice.name!r}, which {_who_does(trainer, part)}")
        _check_options(check, f"{kind}.options", choice.options, part)
    _check_loss(check, chosen)
    if chosen.get("optimizer", _NO_CHOICE).name == "lbfgs":
        for kind, none in (("clipping", "no clipping"), ("mixed_precision", "no mixed precision")):
            name = chosen.get(kind, _NO_CHOICE).name
            if name in parts()[kind] and name != "none":
                what = "but lbfgs looks for its steps along gradients as they are"
                check.fail(f"{kind}.name", f"is {name!r}, {what}; use another optimizer, or {none}")


def complete_parts(chosen: Mapping[Kind, Choice], epochs: int) -> dict[Kind, Choice]:
    """One part of each kind, with every option."""
    loss: dict[Kind, Choice] = {"loss": Choice(loss_of(chosen))}
    everything = {kind: catalogue.default(kind) for kind in parts()} | loss | dict(chosen)
    return {kind: catalogue.complete(kind, everything[kind], epochs) for kind in parts()}


def loss_of(chosen: Mapping[Kind, Choice]) -> str:
    """The name of the loss: the one chosen, or else that of the model; empty where neither is there."""
    if "loss" in chosen:
        return chosen["loss"].name
    model = parts()["model"].get(chosen.get("model", catalogue.default("model")).name)
    return model.losses[0] if model else ""


def _check_loss(check: Check, chosen: Mapping[Kind, Choice]) -> None:
    """A model has losses of its own."""
    name, loss = chosen.get("model", catalogue.default("model")).name, loss_of(chosen)
    models = parts()["model"]
    if name in models and loss in LOSSES and loss not in (its := models[name].losses):
        others = " and ".join(each for each, model in models.items() if loss in model.losses)
        what = f"which the {name} model does not have: it has {', '.join(its)}"
        check.fail("loss.name", f"is {loss!r}, {what}; {loss} is for {others}")


def check_precision(check: Check, mixed: Choice, dtype: str) -> None:
    """What is mixed with 16 bits is float32."""
    if mixed.name != "none" and dtype != "float32":
        what = f"but the training dtype is {dtype}; set dtype to float32, or leave this out"
        check.fail("mixed_precision.name", f"is {mixed.name!r}, {what}")


def check_class_weights(check: Check, loss: Choice, classes: int) -> None:
    """There has to be a weight for each class."""
    weights = loss.options.get("class_weights")
    if weights and classes and len(weights) != classes:
        what = f"has {len(weights)} weights for {classes} classes; give one for each"
        check.fail("loss.options.class_weights", what)


def _who_does(trainer: str, part: Part) -> str:
    many = "s do" if len(part.trainers) > 1 else " does"
    return f"the {trainer} trainer does not do; the {' and '.join(part.trainers)} trainer{many}"


def _check_options(check: Check, path: str, options: Mapping[str, Any], part: Part) -> None:
    unknown = [name for name in options if name not in part.options]
    for name in unknown:
        there = f"is not there; there are {', '.join(part.options)}" if part.options else "is not there"
        check.fail(f"{path}.{name[:_MOST_SHOWN]}", there + nearest(name, part.options))
    for name, error in _errors({name: options[name] for name in options if name in part.options}, part):
        check.fail(f"{path}{name}", error)


def _errors(options: Mapping[str, Any], part: Part) -> Iterator[tuple[str, str]]:
    """Where options do not fit the schema, and why."""
    if not options and "required" not in part.schema:
        return
    from jsonschema import Draft202012Validator  # 0.1 s, which most servers never need

    finite = True
    for name, value in options.items():
        if any(isinstance(each, float) and not math.isfinite(each) for each in _leaves(value)):
            finite = False
            yield f".{name}", "holds a number that is not finite"
    if not finite:
        return
    for error in Draft202012Validator(part.schema).iter_errors(dict(options)):
        path = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in error.absolute_path)
        if error.validator == "required":
            for name in error.validator_value:
                if name not in error.instance:
                    yield f"{path}.{name}", f"is missing; it has to be {allowed(part.options[name])}"
        elif error.validator in _TOLD:
            yield path, f"is {_shown(error.instance)}; it has to be {allowed(error.schema)}"
        else:
            yield path, error.message


def allowed(schema: Mapping[str, Any]) -> str:
    """What a schema allows, in words."""
    if "enum" in schema:
        return "one of " + ", ".join(_shown(value) for value in schema["enum"])
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    words = {
        "number": "a number",
        "integer": "a whole number",
        "boolean": "true or false",
        "string": "a text",
    }
    bounds = [
        f"{word} {schema[key]:g}" if isinstance(schema[key], float) else f"{word} {schema[key]}"
        for key, word in (
            ("exclusiveMinimum", "above"),
            ("minimum", "at least"),
            ("exclusiveMaximum", "below"),
            ("maximum", "at most"),
        )
        if key in schema
    ]
    texts = [words.get(kind, kind) for kind in kinds if kind not in ("array", "null")]
    if "array" in kinds:
        least, most = schema.get("minItems", 0), schema.get("maxItems", "any number")
        count = f"{least}" if least == most else f"{least} to {most}"
        texts.append(f"a list of {count}, each {allowed(schema.get('items', {})) or 'anything'}")
    text = " ".join([*texts, " and ".join(bounds)]).strip()
    return f"{text}, or null" if "null" in kinds else text


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _leaves(each)
    else:
        yield value


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
