"""Pages of lists: their sizes, and the tokens that say where they go on."""

import re

from gradstream_server.jobs.errors import InvalidRequest, Violation

_DEFAULT_SIZE = 50
_MAX_SIZE = 1000
_TOKEN_PREFIX = "before-"


def size(asked: int) -> int:
    """How many things a page has at most.

    Raises:
        InvalidRequest: that is out of range.
    """
    if not 0 <= asked <= _MAX_SIZE:
        what = f"is {asked}; it has to be from 1 to {_MAX_SIZE}, or 0 for {_DEFAULT_SIZE}"
        raise InvalidRequest([Violation("page_size", what)])
    return asked or _DEFAULT_SIZE


def token(cursor: int | None) -> str:
    """The token of the next page; empty at the end."""
    return "" if cursor is None else f"{_TOKEN_PREFIX}{cursor}"


def cursor(token: str) -> int | None:
    """Where a token goes on; None for the first page.

    Raises:
        InvalidRequest: no page has given this token.
    """
    if not token:
        return None
    number = token.removeprefix(_TOKEN_PREFIX)
    if number == token or not re.fullmatch("[1-9][0-9]{0,17}", number):
        what = f"is {token!r}; it has to be the next_page_token of the page before, or empty"
        raise InvalidRequest([Violation("page_token", what)])
    return int(number)
