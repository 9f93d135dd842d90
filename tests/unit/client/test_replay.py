"""What a replay says: a person who is told "the same" relies on it."""

from gradstream.events import Receipt
from gradstream.replay import ReplayResult


def receipt(digest: str, threads: int = 1, **versions: str) -> Receipt:
    return Receipt("d", digest, "cpu", threads, {"torch": "2.13.0", **versions})


def test_the_same() -> None:
    result = ReplayResult(receipt("a"), receipt("a", threads=2))
    assert result.same
    assert result.differences == {"threads": ("1", "2")}


def test_different_and_nothing_tells_why() -> None:
    result = ReplayResult(receipt("a"), receipt("b"))
    assert not result.same
    assert result.differences == {}


def test_different_with_what_else_is() -> None:
    result = ReplayResult(receipt("a", 4, torch="2.12.0"), receipt("b", 4, numpy="2.0"))
    assert result.differences == {"torch": ("2.12.0", "2.13.0"), "numpy": ("none", "2.0")}
