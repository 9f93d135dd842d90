"""Where the server is."""

import pytest

from gradstream.channel import channel_options, server_address
from gradstream.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("example.org:7", "example.org:7"),
        ("example.org", "example.org:50051"),
        (" 10.0.0.1:80 ", "10.0.0.1:80"),
        ("[::1]:7", "[::1]:7"),
        ("[::1]", "[::1]:50051"),
        ("unix:/run/gradstream", "unix:/run/gradstream"),
        ("dns:///example.org:7", "dns:///example.org:7"),
    ],
)
def test_addresses(given: str, address: str) -> None:
    assert server_address(given) == address


@pytest.mark.parametrize("given", ["http://example.org:7", "a:b", "a:0", "a:70000", ":7", "a b", "::1"])
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(InvalidArgumentError, match="HOST:PORT"):
        server_address(given)


def test_no_proxy_between_programs_of_one_machine() -> None:
    assert ("grpc.enable_http_proxy", 0) in channel_options("127.0.0.1:1")
    assert ("grpc.enable_http_proxy", 0) not in channel_options("example.org:1")
