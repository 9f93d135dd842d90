"""Tokens in a file of the data directory, which commands change beside the server that reads it."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from gradstream_server.access.principal import Principal, Scope
from gradstream_server.access.tokens import Token
from gradstream_server.stores.durable import write_file

FORMAT = 1
"""To be raised with every change of what is written."""


class TokensError(Exception):
    """The file of the tokens cannot be used; the text says why."""


class FileTokens:
    """A file of tokens. It is read again whenever it has changed."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "tokens.json"
        self._stamp: object = None
        self._tokens: Mapping[str, Token] = {}

    def current(self) -> Mapping[str, Token]:
        """All tokens by id. What has changed since holds at once: to look takes two microseconds.

        Raises:
            TokensError: they cannot be read.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return {}
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            self._tokens, self._stamp = self._read(), stamp
        return self._tokens

    def change(self, work: Callable[[dict[str, Token]], object]) -> None:
        """Change the tokens, one process at a time.

        Raises:
            TokensError: they cannot be read, or written.
        """
        with self._alone():
            tokens = dict(self.current())
            work(tokens)
            content = json.dumps({"format": FORMAT, "tokens": [_to_json(each) for each in tokens.values()]})
            try:
                write_file(self._path, lambda file: file.write(content.encode()))
            except OSError as error:
                raise TokensError(f"cannot write {self._path}: {error.strerror}") from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = self._path.with_name("tokens.lock")
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise TokensError(f"cannot write {lock}: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _read(self) -> Mapping[str, Token]:
        try:
            content = json.loads(self._path.read_bytes())
            if content["format"] != FORMAT:
                raise ValueError("another version of gradstream has written it")
            tokens = [_from_json(each) for each in content["tokens"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TokensError(f"cannot read {self._path}: {error}") from error
        return {token.id: token for token in tokens}


def _to_json(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.principal.name,
        "scope": token.principal.scope.word,
        "create_time": token.create_time.isoformat(),
        "expire_time": token.expire_time.isoformat() if token.expire_time else None,
        "digest": token.digest,
    }


def _from_json(facts: Mapping[str, Any]) -> Token:
    return Token(
        id=facts["id"],
        principal=Principal(facts["name"], Scope[facts["scope"].upper()]),
        create_time=datetime.fromisoformat(facts["create_time"]),
        digest=facts["digest"],
        expire_time=datetime.fromisoformat(facts["expire_time"]) if facts["expire_time"] else None,
    )
