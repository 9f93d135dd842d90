"""Options that several commands share."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from gradstream.cli.values import initial_parameters, memory_size, part_options, sizes

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])
_DIGEST = "gradstream.digest_of_spec_file"
SETTINGS = "gradstream.settings_of_spec_file"
"""In the context's meta: options of parts that a spec file gives, as --set takes them."""

CONNECTION = "gradstream.settings_of_connection"
"""In the context's meta: how the server is to be called, as the command line says it."""


def _note_connection(context: click.Context, option: click.Parameter, value: object) -> None:
    context.meta.setdefault(CONNECTION, {})[option.name] = value


# What is not on the command line is for `gradstream.endpoint` to find.
_CONNECTION_OPTIONS = [
    click.option("--server", metavar="HOST:PORT",
                 help="The server to ask, or unix:/PATH of its socket.  "
                      "[env var: GRADSTREAM_SERVER; default: of profile `default`, else 127.0.0.1:50051]"),
    click.option("--profile", metavar="NAME", callback=_note_connection, expose_value=False,
                 help="A server of ~/.config/gradstream/config.toml, instead of --server.  "
                      "[env var: GRADSTREAM_PROFILE]"),
    click.option("--tls/--no-tls", default=None, callback=_note_connection, expose_value=False,
                 help="Whether to speak TLS with the server.  [default: with --tls-ca or --tls-cert]"),
    click.option("--tls-ca", metavar="FILE", callback=_note_connection, expose_value=False,
                 help="Authorities to trust, PEM.  "
                      "[env var: GRADSTREAM_TLS_CA; default: public ones]"),
    click.option("--tls-cert", metavar="FILE", callback=_note_connection, expose_value=False,
                 help="The certificate to show to the server, PEM.  [env var: GRADSTREAM_TLS_CERT]"),
    click.option("--tls-key", metavar="FILE", callback=_note_connection, expose_value=False,
                 help="Its key, PEM.  [env var: GRADSTREAM_TLS_KEY]"),
    click.option("--token-file", metavar="FILE", callback=_note_connection, expose_value=False,
                 help="A file with the token that says who you are.  [env var: GRADSTREAM_TOKEN, the token]"),
]  # fmt: skip
table_format_option = click.option(
    "--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True,
    help="Text for people or JSON for programs.",
)  # fmt: skip
event_format_option = click.option(
    "--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="Text for people, or one JSON object a line for each event.",
)  # fmt: skip
patience_option = click.option(
    "--server-patience", "patience_s", type=click.FloatRange(min=0), metavar="SECONDS",
    default=60, show_default=True, envvar="GRADSTREAM_SERVER_PATIENCE", show_envvar=True,
    help="How long to wait for a server that is lost to come back, before giving up. The job is kept.",
)  # fmt: skip
plain_option = click.option("--plain", is_flag=True, help="Lines only, as when stdout is no terminal.")
every_option = click.option(
    "--every", type=click.IntRange(min=1), metavar="N",
    help="Print every N-th epoch of plain output.  [default: 2 for the manual reference experiment, else 10]",
)  # fmt: skip

_DATA_OPTIONS = [
    click.option("--data", metavar="FILE|DATASET",
                 help="Train on this table, which is uploaded if the server does not have it: CSV, TSV, "
                      "Parquet, Arrow IPC or NumPy; - for a CSV on stdin. Or on a data set that is there: "
                      "the first characters of its digest. Without it: the reference experiment."),
    click.option("--target", "targets", metavar="COLUMN", multiple=True,
                 help="Column to predict. Repeatable. All other columns of numbers are features."),
    click.option("--feature", "features", metavar="COLUMN", multiple=True,
                 help="Column to learn from. Repeatable.  [default: all columns of numbers but the targets]"),
    click.option("--ignore", "ignored", metavar="COLUMN", multiple=True,
                 help="Column to leave out. Repeatable."),
    click.option("--one-hot", "one_hot", metavar="COLUMN", multiple=True,
                 help="Column of kinds, such as names: a feature for each of its values. Repeatable."),
    click.option("--max-categories", type=int, metavar="N",
                 help="How many different values a --one-hot column may have.  [default: 100]"),
    click.option("--nulls", type=click.Choice(["error", "drop", "mean"], case_sensitive=False),
                 help="Rows without a value: refuse them, leave them out, or let the mean of the column "
                      "stand in.  [default: error]"),
    click.option("--validation-data", metavar="FILE|DATASET",
                 help="Measure the model on this table after each epoch: one with the same columns, which is "
                      "uploaded like --data."),
    click.option("--predict", "predict", metavar="ROW", multiple=True,
                 help="Predict this row at the end: its features, separated by commas. Repeatable."),
]  # fmt: skip

_SPEC_OPTIONS = [
    click.option("--device", metavar="NAME",
                 help="auto, cpu, cuda, cuda:N or mps.  [default: the first the server has]"),
    click.option("--epochs", type=int, metavar="N",
                 help="How often to go through all rows.  "
                      "[default: 100; 20 for the manual reference experiment]"),
    click.option("--learning-rate", type=float, metavar="RATE",
                 help="Length of a step.  [default: 0.01 for sgd, else torch's own]"),
    click.option("--batch-size", type=int, metavar="N", help="Rows per update.  [default: all]"),
    click.option("--shuffle/--no-shuffle", default=None,
                 help="Visit rows in a new order every epoch.  [default: only with --batch-size]"),
    click.option("--gradient-reduction", type=click.Choice(["mean", "sum"]),
                 help="Gradient of the mean or of the sum of squared errors.  "
                      "[default: mean; sum for the manual reference experiment]"),
    click.option("--intercept/--no-intercept", default=None,
                 help="Whether the model has a bias.  [default: yes, but for two reference experiments]"),
    click.option("--model", metavar="NAME",
                 help="What is trained: linear, logistic for two classes, or with the module trainer softmax "
                      "for several, mlp, a multilayer perceptron, and what is installed on the server.  "
                      "[default: linear]"),
    click.option("--hidden", "hidden", metavar="SIZES", callback=sizes,
                 help="Sizes of the hidden layers of an mlp, such as 64,64."),
    click.option("--initialization", metavar="NAME",
                 help="How weights that are not given start.  [default: the trainer's own]"),
    click.option("--loss", metavar="NAME",
                 help="What is made small: mse, l1, huber, log_loss or cross_entropy.  "
                      "[default: that of the model]"),
    click.option("--optimizer", metavar="NAME",
                 help="How a gradient becomes an update: sgd, and with the module trainer adam, lbfgs and "
                      "others; `gradstream info --parts` lists them all.  [default: sgd]"),
    click.option("--schedule", metavar="NAME",
                 help="How the learning rate changes from epoch to epoch: none, step, cosine, one_cycle and "
                      "others.  [default: none]"),
    click.option("--clipping", metavar="NAME",
                 help="What is done to a long gradient: none, norm or value.  [default: none]"),
    click.option("--mixed-precision", "mixed_precision", metavar="NAME",
                 help="Compute the forward pass of the module trainer in bfloat16 or float16, which is "
                      "faster on accelerators; needs --dtype float32.  [default: none]"),
    click.option("--set", "part_options", metavar="PART.OPTION=VALUE", callback=part_options, multiple=True,
                 help="An option of one of these, such as optimizer.momentum=0.9. Repeatable."),
    click.option("--l2", type=float, metavar="STRENGTH",
                 help="L2 regularization of the weight.  [default: 0]"),
    click.option("--dtype", type=click.Choice(["float32", "float64"]),
                 help="Precision of training.  [default: float64 for --data, else float32]"),
    click.option("--seed", type=int, metavar="N", help="Seed of everything random.  [default: 0]"),
    click.option("--standardize/--no-standardize", default=None,
                 help="Scale features to mean 0 and standard deviation 1 first.  [default: no]"),
    click.option("--init", "initial", metavar="NAME=VALUE", callback=initial_parameters, multiple=True,
                 help="Start here: weight or bias = a number for all, or one for each feature (the weight of "
                      "several targets row by row, each may end in a semicolon), separated by commas. "
                      "Repeatable."),
    click.option("--report-every", type=int, metavar="N", help="Report every N-th epoch only.  [default: 1]"),
    click.option("--validation-fraction", type=float, metavar="SHARE",
                 help="Learn nothing from this share of the rows, such as 0.2, drawn by --seed, but "
                      "measure the model on them after each epoch."),
    click.option("--validation-rows", type=int, metavar="N",
                 help="The same with the last N rows: for data in the order of time."),
    click.option("--metric", "metrics", metavar="NAME", multiple=True,
                 help="Measure this on the validation rows beside the loss: mae, rmse or r2, with classes "
                      "accuracy, log_loss or auc. Repeatable.  [default: all that fit the loss]"),
    click.option("--patience", type=int, metavar="EPOCHS",
                 help="End training when what is monitored has not improved for so many epochs, and keep the "
                      "model of the best.  [default: train all epochs]"),
    click.option("--monitor", metavar="NAME",
                 help="What has to improve: validation_loss, loss or a metric.  [default: validation_loss; "
                      "loss without validation]"),
    click.option("--min-delta", type=float, metavar="N",
                 help="By more than how much it has to improve to count.  [default: 0]"),
    click.option("--restore-best/--no-restore-best", default=None,
                 help="Whether the model is that of the best epoch.  [default: only with --patience]"),
    click.option("--stop-after-seconds", type=float, metavar="SECONDS",
                 help="End training then, with what it has reached.  [default: train all epochs]"),
    click.option("--max-memory", "max_memory_bytes", callback=memory_size, metavar="SIZE",
                 help="Memory that training may take, from 64M: bytes, or with K, M, G or T, powers of 1024. "
                      "A job that needs more fails. 0 for no limit, if the server has none.  "
                      "[default: what the server allows]"),
    click.option("--max-seconds", type=float, metavar="SECONDS",
                 help="How long the job may run; then it fails, and keeps what it has reached. 0 for no "
                      "limit, if the server has none.  [default: what the server allows]"),
]  # fmt: skip


def data_options(command: Callable[..., T]) -> Callable[..., T]:
    """Options that say what to train on; the command gets them together, as `choice`."""

    @functools.wraps(command)
    def with_choice(**given: Any) -> T:
        from gradstream.cli.data_choice import DataChoice

        choice = DataChoice(
            **{field.name: given.pop(field.name) for field in fields(DataChoice) if field.name in given},
            digest=_digest_of_spec_file(),
        )
        return command(choice=choice, **given)

    return _apply(_DATA_OPTIONS, with_choice)


def _digest_of_spec_file() -> str | None:
    """What the table of a spec file has to be; nothing for one that the command line names."""
    context = click.get_current_context()
    if context.get_parameter_source("data") is not ParameterSource.DEFAULT_MAP:
        return None
    digest: str | None = context.meta.get(_DIGEST)
    return digest


def overrides(option: str, other: str) -> bool:
    """Whether the command line gives an option, and the other is only in a spec file."""
    source = click.get_current_context().get_parameter_source
    return source(option) is ParameterSource.COMMANDLINE and source(other) is ParameterSource.DEFAULT_MAP


def _use_spec_file(context: click.Context, _option: click.Parameter, path: Path | None) -> None:
    """Take what a spec file says where the command line says nothing."""
    if path is None:
        return
    from gradstream.cli.spec_file import read_spec_file

    found = read_spec_file(path, context.command)
    # Not a default of --set: what the command line sets is added to it.
    context.meta[SETTINGS] = found.options.pop("part_options", [])
    context.default_map = {**(context.default_map or {}), **found.options}
    context.meta[_DIGEST] = found.digest


spec_file_option = click.option(
    "--spec", metavar="FILE", type=click.Path(path_type=Path), callback=_use_spec_file, is_eager=True,
    expose_value=False,
    help="Take from this TOML file what the command line does not give; --save-spec writes one.",
)  # fmt: skip


def server_option(command: Command) -> Command:
    """Options that say which server to call, and how; the command gets the server alone."""
    return _apply(_CONNECTION_OPTIONS, command)


def spec_options(command: Command) -> Command:
    """Options named after the fields of a spec, without the trainer."""
    return _apply(_SPEC_OPTIONS, command)


def with_defaults(command: click.Command, **defaults: str) -> None:
    """Let the help of a command's options tell defaults of its own."""
    for option in command.params:
        if isinstance(option, click.Option) and option.name in defaults:
            text = (option.help or "").partition("  [default: ")[0]
            option.help = f"{text}  [default: {defaults[option.name]}]"


def _apply(options: Sequence[Callable[[Command], Command]], command: Command) -> Command:
    # The last decorator applied is the first option shown.
    for option in reversed(options):
        command = option(command)
    return command
