"""README.md of a bundle: what the model is, for somebody who finds the file."""

from collections.abc import Iterable

from gradstream.bundle.bundle import Bundle, InputColumn

_SHOWN = 50


def text(bundle: Bundle) -> str:
    """The text, which depends on the bundle alone."""
    origin, receipt = bundle.origin, bundle.receipt
    title = f"{origin.name}, version {origin.version}" if origin.name else "A model"
    lines = [
        f"# {_line(title)}",
        "",
        f"Trained by gradstream {_line(origin.gradstream)}, job {_line(origin.job)}.",
        "",
        f"- Model: {_line(bundle.model.name)}, {bundle.dtype}",
        f"- Predicts: {_listed(bundle.targets)}"
        + (f", one of the classes {_listed(map(str, bundle.classes))}" if bundle.classes else ""),
        f"- From: {_listed(map(_column, bundle.columns))}",
        f"- Metrics: {_listed(f'{name} {value:g}' for name, value in bundle.metrics.items()) or 'none'}",
        f"- SHA-256 of the data: {_line(receipt.data_digest)}",
        "",
        "Files: `model.safetensors` has the parameters, by torch's names, for scaled features. `model.json`",
        "has everything else: how columns become features, their scaling, the layers, the classes, the job.",
        "",
    ]
    lines += _plugin(bundle) if bundle.is_plugin else _python(bundle)
    return "\n".join(lines) + "\n"


def _python(bundle: Bundle) -> list[str]:
    values = {column.name: (column.categories or (0.0,))[0] for column in bundle.columns[:_SHOWN]}
    return [
        "```python",
        "import gradstream  # pip install gradstream",
        "",
        'model = gradstream.load("this-file.zip")',
        f"model.predict([{values!r}])",
        "```",
    ]


def _plugin(bundle: Bundle) -> list[str]:
    return [
        f"The model is the installed module {_line(bundle.model.name)}, and only its code can predict:",
        '`module.load_state_dict(safetensors.torch.load_file("model.safetensors"), strict=False)`.',
    ]


def _column(column: InputColumn) -> str:
    kinds = f" ({len(column.categories)} categories)" if column.categories else ""
    return column.name + kinds


def _listed(names: Iterable[str]) -> str:
    shown = [_line(name) for name in names]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def _line(name: str) -> str:
    return "".join(character if character.isprintable() else " " for character in name)
