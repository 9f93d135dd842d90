"""`gradstream serve`: the options come from the fields of `ServerConfig`."""

import asyncio
import sys
import tomllib
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import click

from gradstream_server import logs
from gradstream_server.config import ConfigError, ServerConfig

_EXIT_FAILED = 1


def _read_config(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    """Let the file's settings be the defaults of the options."""
    if path is None:
        return
    try:
        settings = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise click.BadParameter(f"{path}: {error}") from error
    known = {setting.name for setting in fields(ServerConfig)}
    if unknown := set(settings) - known:
        raise click.BadParameter(
            f"{path}: no setting {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
        )
    context.default_map = settings


def _option(setting: Field[Any]) -> click.Option:
    default = setting.default_factory() if callable(setting.default_factory) else setting.default
    envvar = setting.metadata.get("env")
    flag = setting.name.replace("_", "-")
    return click.Option(
        [f"--{flag}/--no-{flag}" if default is True else f"--{flag}"],
        # What has no default is a file.
        type=click.Path(path_type=Path) if default is None or isinstance(default, Path) else type(default),
        is_flag=isinstance(default, bool),
        default=default,
        show_default=default not in (False, ""),
        envvar=envvar or f"GRADSTREAM_{setting.name.upper()}",
        show_envvar=bool(envvar),
        metavar=setting.metadata["metavar"],
        help=setting.metadata["help"],
    )


def _serve(**settings: Any) -> None:
    """Start a server, and serve until it is told to stop.

    It prints where it listens as soon as it answers. SIGTERM and Ctrl-C stop it: running jobs are put aside
    with a checkpoint, and they and those that wait go on at the next start. The same holds for a server that
    is killed.

    Each option can be set by the environment too, as GRADSTREAM_MAX_EPOCHS for --max-epochs unless another
    variable is named, or in the file named by --config, as max_epochs. An option goes over the environment,
    that over the file.
    """
    try:
        config = ServerConfig(**settings)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    logs.configure(config.log_level, "json" if config.log_format == "json" else "text")
    sys.exit(asyncio.run(_run(config)))


async def _run(config: ServerConfig) -> int:
    # Imported here so that --help does not wait for it.
    from gradstream_server.app import AddressInUse, Server
    from gradstream_server.lock import DataDirError
    from gradstream_server.stores.database import StoreError
    from gradstream_server.stores.tokens import TokensError
    from gradstream_server.tls import TlsError

    try:
        await Server(config).serve(lambda address: print(f"gradstream is listening on {address}", flush=True))
    except (AddressInUse, DataDirError, StoreError, TlsError, TokensError, logs.AuditLogError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return _EXIT_FAILED
    return 0


serve = click.Command(
    "serve",
    callback=_serve,
    help=_serve.__doc__,
    params=[
        *(_option(setting) for setting in fields(ServerConfig)),
        click.Option(
            ["--config"],
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            is_eager=True,
            expose_value=False,
            callback=_read_config,
            envvar="GRADSTREAM_CONFIG",
            metavar="FILE",
            help="TOML file of settings.",
        ),
    ],
)
