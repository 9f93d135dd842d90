"""Which option of the command line a field of a request came from."""

import re

from gradstream.arguments import argument_of_field

# Where the option is not called as the argument is.
_OPTIONS = {
    "data": "--data",
    "features": "--data",
    "feature_names": "--data",
    "targets": "--target",
    "target_names": "--target",
    "dataset": "--data",
    "target_columns": "--target",
    "feature_columns": "--feature",
    "initial_parameters": "--init",
    "predict_rows": "--predict",
    "max_memory_bytes": "--max-memory",
    "metrics": "--metric",
    "job": "JOB",
    "rows": "ROW",
    "source": "the file",
    "name": "the name",
    "model_name": "--name",
    "version": "the version",
    "target": "--output",
    "size": "the size",
}
_FIELDS = {
    "spec.validation.fraction": "--validation-fraction",
    "spec.validation.last_rows": "--validation-rows",
    "spec.validation.dataset": "--validation-data",
    "spec.validation": "--validation-fraction",
}
"""Options of fields that are one argument in Python."""
_PART_OPTION = re.compile(r"spec\.(\w+)\.options\.(.+)")
# Names that are no words of English, as texts of the server have them.
_IN_TEXT = re.compile(
    r"(?<![\w.-])(learning_rate|batch_size|gradient_reduction|report_every|predict_rows|initial_parameters"
    r"|request_id|max_memory_bytes|max_seconds|cancel_on_disconnect|one_hot|max_categories|nulls|restore_best|min_delta)\b"
)


def option_of_field(field: str) -> str:
    """The option that sets a field, such as `--learning-rate` for `spec.learning_rate`."""
    if found := _PART_OPTION.fullmatch(field):
        return f"--set {found[1]}.{found[2]}"
    return _FIELDS.get(field) or option_of_argument(argument_of_field(field))


def option_of_argument(argument: str) -> str:
    """The option that sets an argument of `Client.train`."""
    return _OPTIONS.get(argument, f"--{argument.replace('_', '-')}" if argument else argument)


def with_options(text: str) -> str:
    """A text that names arguments, naming options instead."""
    return _IN_TEXT.sub(lambda found: option_of_argument(found[1]), text)
