"""Whose models are whose: one principal would read, or overwrite, what is another's."""

import pytest

from gradstream_server.access.principal import UNRESTRICTED, Principal, Scope, model_key

ALICE, BOB = Principal("alice", Scope.TRAIN), Principal("bob", Scope.READ)
ROOT = Principal("root", Scope.ADMIN)


def test_everybody_sees_what_is_his_and_an_admin_everything() -> None:
    seen = {
        each.name: [owner for owner in ("alice", "bob", "") if each.sees(owner)]
        for each in (ALICE, BOB, ROOT)
    }
    assert seen == {"alice": ["alice"], "bob": ["bob"], "root": ["alice", "bob", ""]}
    assert UNRESTRICTED.sees("alice")


@pytest.mark.parametrize(
    ("caller", "called", "key"),
    [
        (ALICE, "house", "alice/house"),
        (ROOT, "house", "root/house"),
        (ROOT, "alice/house", "alice/house"),
        (ROOT, "/house", "house"),
        (UNRESTRICTED, "house", "house"),
        (UNRESTRICTED, "alice/house", "alice/house"),
    ],
)
def test_a_model_is_called_and_kept(caller: Principal, called: str, key: str) -> None:
    assert caller.key(called) == key
    assert caller.called(key) == called


@pytest.mark.parametrize("called", ["bob/house", "/house", "alice/house", "../bob/house"])
def test_nobody_names_what_is_another_s(called: str) -> None:
    """No key has two slashes: neither principals nor models have one in their names."""
    assert ALICE.key(called).count("/") > 1
    assert ALICE.key(called).startswith("alice/")


def test_what_is_nobody_s_is_kept_as_it_is_called() -> None:
    assert (model_key("", "house"), model_key("alice", "house")) == ("house", "alice/house")
