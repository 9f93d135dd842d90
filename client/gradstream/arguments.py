"""Which argument of a caller's a field of a request came from."""

_ARGUMENTS = {
    "spec.inline_data.features": "features",
    "spec.inline_data.targets": "targets",
    "spec.inline_data.feature_names": "feature_names",
    "spec.inline_data.target_names": "target_names",
    "spec.inline_data": "data",
    "spec.dataset.targets": "target_columns",
    "spec.dataset.features": "feature_columns",
    "spec.dataset.one_hot": "one_hot",
    "spec.dataset.max_categories": "max_categories",
    "spec.dataset.nulls": "nulls",
    "spec.dataset": "dataset",
    "spec.validation.metrics": "metrics",
    "spec.validation": "validation",
    "spec.stopping.after_seconds": "stop_after_seconds",
    "inputs": "rows",
    "begin.name": "name",
    "begin.size_bytes": "size",
}


def argument_of_field(field: str) -> str:
    """The argument that sets a field, such as `features` for `spec.inline_data.features.shape`.

    Of a part chosen by name it is the argument and the option, such as `optimizer.momentum`.
    """
    for path, argument in _ARGUMENTS.items():
        if field == path or field.startswith((f"{path}.", f"{path}[")):
            return argument
    part, options, option = field.removeprefix("spec.").partition(".options.")
    if options:
        return f"{part}.{option}"
    return field.removeprefix("spec.").removeprefix("stopping.").partition(".")[0].partition("[")[0] or field
