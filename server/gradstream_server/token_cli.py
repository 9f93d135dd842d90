"""`gradstream token`: makes, lists and revokes the tokens that let callers in. It works beside a server."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import click

from gradstream_server.access.principal import Scope
from gradstream_server.access.tokens import Token, make_token
from gradstream_server.config import default_data_dir
from gradstream_server.stores.tokens import FileTokens, TokensError

Command = TypeVar("Command", bound=Callable[..., object])

_UNITS_S = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_LONGEST_S = 100 * 365 * 86_400


def _expiry(_context: click.Context, _option: click.Parameter, value: str | None) -> timedelta | None:
    if value is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,9})([mhdw])", value)
    if match is None or (seconds := int(match[1]) * _UNITS_S[match[2]]) > _LONGEST_S:
        raise click.BadParameter(
            f"{value!r} is no time; it has to be a number and m, h, d or w, such as 90d, of at most 100 years"
        )
    return timedelta(seconds=seconds)


def _name(_context: click.Context, _argument: click.Parameter, value: str) -> str:
    if not _NAME.fullmatch(value):
        raise click.BadParameter(
            f"{value!r} is no name: it has to begin with a letter or a digit, and to be of at most 128 "
            "letters, digits, and . _ @ + -"
        )
    return value


data_dir_option = click.option(
    "--data-dir", metavar="DIR", envvar="GRADSTREAM_DATA_DIR", show_envvar=True, default=default_data_dir,
    type=click.Path(path_type=Path, file_okay=False), show_default="that of `gradstream serve`",
    help="The data directory of the server.",
)  # fmt: skip


@click.group()
def token() -> None:
    """Make, list and revoke the tokens of a server that is started with --auth tokens.

    They are kept in its data directory. A running server knows what has changed at once.
    """


@token.command()
@click.argument("name", callback=_name)
@click.option("--scope", type=click.Choice([scope.word for scope in Scope]), required=True,
              help="What it allows: read what is NAME's and ask its models; train: make, change and delete; "
                   "admin: the same with what is anybody's.")  # fmt: skip
@click.option("--expires", callback=_expiry, metavar="TIME", help="For how long, such as 90d, 12h or 30m.  "
              "[default: until it is revoked]")  # fmt: skip
@data_dir_option
def create(name: str, scope: str, expires: timedelta | None, data_dir: Path) -> None:
    """Make a token for the principal NAME, and print it, which is the only time that it is told.

    Jobs, data sets and models belong to the principal: of several tokens, one can take another's place.
    """
    now = datetime.now(UTC)
    made, text = make_token(name, Scope[scope.upper()], now, now + expires if expires else None)
    tokens = _tokens(data_dir, make=True)
    _change(tokens, lambda all_: all_.update({made.id: made}))
    until = f"until {_time(made.expire_time)}" if made.expire_time else "until it is revoked"
    click.echo(f"token {made.id} of {name}, scope {scope}, {until}; keep it, it is not told again:", err=True)
    click.echo(text)


@token.command()
@data_dir_option
def ls(data_dir: Path) -> None:
    """List the tokens there are, newest first; what they are is told by nothing but themselves."""
    rows = [("ID", "NAME", "SCOPE", "CREATED", "EXPIRES")]
    for each in sorted(_all(data_dir), key=lambda each: each.create_time, reverse=True):
        over = each.expire_time and each.expire_time <= datetime.now(UTC)
        expires = _time(each.expire_time) + " (expired)" * bool(over) if each.expire_time else "-"
        scope = each.principal.scope.word
        rows.append((each.id, each.principal.name, scope, _time(each.create_time), expires))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


@token.command()
@click.argument("tokens", nargs=-1, required=True, metavar="ID|NAME...")
@data_dir_option
def revoke(tokens: tuple[str, ...], data_dir: Path) -> None:
    """Take away a token by its ID, or all of the principal NAME. What belongs to the principal stays."""
    revoked: list[Token] = []

    def take(known: dict[str, Token]) -> None:
        for given in tokens:
            meant = [each for each in known.values() if given in (each.id, each.principal.name)]
            if not meant:
                raise click.UsageError(f"there is no token {given!r}; `gradstream token ls` lists them")
            revoked.extend(known.pop(each.id) for each in meant)

    _change(_tokens(data_dir), take)
    for each in revoked:
        click.echo(f"revoked token {each.id} of {each.principal.name}")


def _tokens(data_dir: Path, make: bool = False) -> FileTokens:
    if make:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    elif not data_dir.is_dir():
        raise click.UsageError(f"there is no data directory {data_dir}; name the server's with --data-dir")
    return FileTokens(data_dir)


def _all(data_dir: Path) -> list[Token]:
    try:
        return list(_tokens(data_dir).current().values())
    except TokensError as error:
        raise click.ClickException(str(error)) from error


def _change(tokens: FileTokens, work: Callable[[dict[str, Token]], object]) -> None:
    try:
        tokens.change(work)
    except TokensError as error:
        raise click.ClickException(str(error)) from error


def _time(time: datetime | None) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M}" if time else "-"
