"""Which option of the command line a field of a request came from."""

_OPTIONS = {
    "spec.inline_data.targets": "--target",
    "spec.inline_data.target_names": "--target",
    "spec.inline_data": "--data",
    "spec.initial_parameters": "--init",
    "spec.predict_rows": "--predict",
    "job": "JOB",
}


def option_of_field(field: str) -> str:
    """The option that sets a field, such as `--learning-rate` for `spec.learning_rate`."""
    for path, option in _OPTIONS.items():
        if field == path or field.startswith((f"{path}.", f"{path}[")):
            return option
    name = field.removeprefix("spec.").partition(".")[0].partition("[")[0]
    return f"--{name.replace('_', '-')}" if name else field
