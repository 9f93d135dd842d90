"""The group of all commands. What a command needs is imported when it runs, so that help comes at once."""

import difflib
import os
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

import gradstream as package
from gradstream.cli.failures import EXIT_CODES_HELP, exit_on_failure


@dataclass(frozen=True)
class Entry:
    """A command, before it is imported."""

    target: str
    """Where it is, as "module:attribute"."""
    summary: str
    """What it does, in one line."""


COMMANDS = {
    "serve": Entry("gradstream_server.cli:serve", "Start a server."),
    "token": Entry("gradstream_server.token_cli:token", "Make, list and revoke tokens that let callers in."),
    "train": Entry("gradstream.cli.train:train", "Start a job and watch it."),
    "watch": Entry("gradstream.cli.watch:watch", "Watch a job, from its beginning or where you left it."),
    "jobs": Entry("gradstream.cli.jobs:jobs", "List jobs, newest first."),
    "show": Entry("gradstream.cli.show:show", "Show all there is to know about a job."),
    "plot": Entry("gradstream.cli.plot:plot", "Draw the losses of jobs, on the terminal or as an image."),
    "models": Entry("gradstream.cli.models:models", "List models, newest first."),
    "model": Entry("gradstream.cli.model:model", "Show, take away and delete models."),
    "predict": Entry("gradstream.cli.predict:predict", "Ask a model on the server for predictions."),
    "data": Entry("gradstream.cli.data:data", "Upload, list, show and delete tables to train on."),
    "pause": Entry("gradstream.cli.pause:pause", "Put a job aside; its worker is free for others."),
    "resume": Entry("gradstream.cli.resume:resume", "Let a paused job go on where it was."),
    "cancel": Entry("gradstream.cli.cancel:cancel", "Ask a job to stop."),
    "delete": Entry("gradstream.cli.delete:delete", "Delete jobs that have ended, with all they have left."),
    "replay": Entry("gradstream.cli.replay:replay", "Train again what a job has trained, and compare."),
    "compare": Entry("gradstream.cli.compare:compare", "Train with every trainer and compare them."),
    "sweep": Entry("gradstream.cli.sweep:sweep", "Train with many values of some options; find the best."),
    "conformance": Entry(
        "gradstream.cli.conformance:conformance", "Prove that a client of any language re-attaches."
    ),
    "info": Entry("gradstream.cli.info:info", "Show what a server is: version, devices, trainers, limits."),
    "health": Entry("gradstream.cli.health:health", "Ask whether a server takes work."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        try:
            command = getattr(import_module(module), attribute)
        except ImportError as error:
            if not module.startswith("gradstream_server"):
                raise
            raise click.ClickException(
                f"the server is not installed ({error}); install it with: pip install 'gradstream[server]'"
            ) from error
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", ctx) from error

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl(EXIT_CODES_HELP)

    def invoke(self, ctx: click.Context) -> Any:
        with exit_on_failure():
            result = super().invoke(ctx)
            sys.stdout.flush()  # a reader that has gone is noticed here, not while Python shuts down
            return result


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package.__version__, message="%(prog)s %(version)s")
def gradstream() -> None:
    """Train models on a gradstream server and watch them learn.

    Start a server with `gradstream serve`, then train the reference experiment with
    `gradstream train`, or your own table with `gradstream train --data FILE.csv --target COLUMN`.
    """
    # What gRPC logs about connections is said in our own words.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
