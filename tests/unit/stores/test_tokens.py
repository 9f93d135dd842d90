"""Tokens: one that is revoked would let in on, and a copy of the file would let in by itself."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gradstream_server.access.principal import Principal, Scope
from gradstream_server.access.tokens import PREFIX, Token, make_token, parts_of
from gradstream_server.stores.tokens import FileTokens, TokensError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def made(name: str = "alice", scope: Scope = Scope.TRAIN) -> tuple[Token, str]:
    return make_token(name, scope, NOW, NOW)


def test_a_token_is_known_by_its_secret_alone() -> None:
    token, text = made()
    identity, secret = parts_of(text)
    assert text.startswith(PREFIX)
    assert identity == token.id
    assert token.is_made_with(secret)
    assert not token.is_made_with(secret[:-1])
    assert not token.is_made_with("")
    assert not made()[0].is_made_with(secret)
    assert len(secret) >= 43  # 256 bits in base 64
    assert secret not in repr(token)


@pytest.mark.parametrize("text", ["", "gst_", "gst_a", "a_b", "eyJhbGciOiJIUzI1NiJ9.e30.x"])
def test_what_is_no_token_has_no_parts_that_fit(text: str) -> None:
    token, _ = made()
    identity, secret = parts_of(text)
    assert identity != token.id
    assert not token.is_made_with(secret)


def test_what_is_changed_beside_a_reader_holds_at_once(tmp_path: Path) -> None:
    server, command = FileTokens(tmp_path), FileTokens(tmp_path)
    assert server.current() == {}
    (token, text), (other, _) = made(), made("bob", Scope.ADMIN)
    command.change(lambda tokens: tokens.update({token.id: token, other.id: other}))
    assert server.current() == {token.id: token, other.id: other}
    assert server.current()[other.id].principal == Principal("bob", Scope.ADMIN)
    command.change(lambda tokens: tokens.pop(token.id))
    assert list(server.current()) == [other.id]
    assert parts_of(text)[1] not in (tmp_path / "tokens.json").read_text()


def test_commands_at_once_lose_nothing(tmp_path: Path) -> None:
    tokens = [made(f"p{i}")[0] for i in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda each: FileTokens(tmp_path).change(lambda all_: all_.update({each.id: each})), tokens
            )
        )
    assert set(FileTokens(tmp_path).current()) == {each.id for each in tokens}


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"format": 2, "tokens": []}), '{"format": 1}'])
def test_a_file_that_cannot_be_read_lets_nobody_in(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokens.json").write_text(content)
    with pytest.raises(TokensError, match=r"cannot read .*tokens\.json"):
        FileTokens(tmp_path).current()
