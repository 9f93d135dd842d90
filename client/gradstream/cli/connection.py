"""A client for a command, which says so when the server has to be waited for."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypedDict

import click

from gradstream.cli.options import CONNECTION
from gradstream.cli.view import View
from gradstream.client import Client
from gradstream.endpoint import token_of
from gradstream.errors import GradstreamError
from gradstream.tls import TLS

_KEY = "gradstream.connection"
_PATIENCE_S = 60.0
_LONGEST_CALL_S = 86_400.0
"""gRPC takes far longer ones, and those that are infinite, for over already."""


class Connection:
    """Whether the server is there, and who is told."""

    def __init__(self) -> None:
        self.view: View | None = None
        """What shows a run; without one, stderr is told."""
        self._lost = False
        self._told = False

    @property
    def is_lost(self) -> bool:
        """Whether the server is being waited for."""
        return self._lost

    def lost(self, server: str, error: GradstreamError) -> None:
        """Tell once that there is no connection, until it is there again."""
        if self._lost:
            return
        self._lost = True
        if self.view is None:
            click.echo(f"no connection to {server} ({error.message}); trying again ...", err=True)
            self._told = True
            return
        text = f"connection to {server} lost; attaching again ..."
        self._told = not self.view.connection_lost(text)
        if self._told:
            click.echo(text, err=True)

    def works(self) -> None:
        """Note that something of a run has come: the next loss is told again."""
        if self._told:
            click.echo("attached again", err=True)
        self._lost = self._told = False


class Settings(TypedDict):
    """How to call the server, as `Client` takes it."""

    tls: TLS | bool | None
    profile: str | None
    token: str | None


def settings_of_connection() -> Settings:
    """What the options of the command that runs say of how to call the server.

    Raises InvalidArgumentError for what cannot be used.
    """
    given = click.get_current_context().meta.get(CONNECTION, {})
    ca, cert, key = (given.get(name) for name in ("tls_ca", "tls_cert", "tls_key"))
    tls = TLS(ca, cert, key) if ca or cert or key else given.get("tls")
    file = given.get("token_file")
    return Settings(tls=tls, profile=given.get("profile"), token=token_of(file) if file else None)


@contextmanager
def open_client(server: str | None, patience_s: float = _PATIENCE_S) -> Iterator[Client]:
    """A client that says so when it has to wait for the server to come back."""
    connection = Connection()
    click.get_current_context().meta[_KEY] = connection
    with Client(
        server,
        timeout_s=max(_PATIENCE_S, min(patience_s, _LONGEST_CALL_S)),
        patience_s=patience_s,
        **settings_of_connection(),
        on_retry=lambda error, _: connection.lost(client.server, error),
    ) as client:
        yield client


def current_connection() -> Connection:
    """The connection of the command that runs."""
    connection = click.get_current_context().meta.setdefault(_KEY, Connection())
    assert isinstance(connection, Connection)
    return connection
