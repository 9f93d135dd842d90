"""Which server is called, and how: a token or a job would go to another than was meant."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gradstream import TLS, InvalidArgumentError
from gradstream.endpoint import Endpoint, endpoint

Profiles = Callable[[str], Path]

PROFILES = """
[default]
server = "home:1"
tls_ca = "home.pem"

[work]
server = "work:2"
tls = true
tls_cert = "/w/cert.pem"
tls_key = "/w/key.pem"
"""


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profiles:
    """Writes the file of profiles; until then there is none, and nothing in the environment."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("SERVER", "PROFILE", "TLS_CA", "TLS_CERT", "TLS_KEY"):
        monkeypatch.delenv(f"GRADSTREAM_{name}", raising=False)

    def write(text: str) -> Path:
        (tmp_path / "gradstream").mkdir()
        (tmp_path / "gradstream" / "config.toml").write_text(text)
        return tmp_path / "gradstream"

    return write


def test_argument_over_environment_over_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert endpoint() == Endpoint("127.0.0.1:50051")
    monkeypatch.setenv("GRADSTREAM_SERVER", "example.org:1")
    assert endpoint() == Endpoint("example.org:1")
    assert endpoint("example.org:2") == Endpoint("example.org:2")


def test_tls_of_the_environment_is_completed_by_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADSTREAM_TLS_CA", "env.pem")
    monkeypatch.setenv("GRADSTREAM_TLS_CERT", "env.crt")
    monkeypatch.setenv("GRADSTREAM_TLS_KEY", "env.key")
    assert endpoint("a:1").tls == TLS("env.pem", "env.crt", "env.key")
    assert endpoint("a:1", TLS("mine.pem")).tls == TLS("mine.pem", "env.crt", "env.key")
    assert endpoint("a:1", TLS(cert="my.crt", key="my.key")).tls == TLS("env.pem", "my.crt", "my.key")
    assert endpoint("a:1", tls=False).tls is None


def test_public_authorities_are_trusted_where_none_is_named() -> None:
    assert endpoint("a:1", tls=True).tls == TLS()


def test_the_default_profile_is_about_its_own_server(
    profiles: Profiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = profiles(PROFILES)
    home = Endpoint("home:1", TLS(str(folder / "home.pem")))
    assert endpoint() == endpoint(profile="default") == home
    assert endpoint("other:3") == Endpoint("other:3")
    monkeypatch.setenv("GRADSTREAM_SERVER", "other:3")
    assert endpoint() == Endpoint("other:3")
    assert endpoint(profile="default") == home


def test_a_named_profile_goes_over_the_environment(
    profiles: Profiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles(PROFILES)
    work = Endpoint("work:2", TLS(cert="/w/cert.pem", key="/w/key.pem"))
    monkeypatch.setenv("GRADSTREAM_SERVER", "other:3")
    assert endpoint(profile="work") == work
    monkeypatch.setenv("GRADSTREAM_PROFILE", "work")
    assert endpoint() == work
    assert endpoint("other:4") == Endpoint("other:4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[default", "cannot read the profiles in .*config.toml: "),
        ("default = 1", "default is no table; a profile is one, such as \\[default\\]"),
        ("[default]\nsevrer = 'a:1'", "profile default has 'sevrer'; there are server, tls, tls_ca"),
        ("[default]\ntls = 'yes'", "tls of profile default is 'yes'; it has to be true or false"),
        ("[default]\nserver = 'a b'", "'a b' is not a server's address"),
        ("[default]\ntls_cert = 'c'", "a client's certificate and its key belong together"),
    ],
)
def test_what_is_wrong_of_a_profile_is_told(profiles: Profiles, text: str, message: str) -> None:
    profiles(text)
    with pytest.raises(InvalidArgumentError, match=message):
        endpoint()


def test_a_profile_has_to_be_there_and_alone() -> None:
    with pytest.raises(InvalidArgumentError, match=r"there is no profile 'work' in .*config\.toml"):
        endpoint(profile="work")
    with pytest.raises(InvalidArgumentError, match="a server and the profile 'work'"):
        endpoint("a:1", profile="work")


def test_a_socket_of_this_machine_speaks_no_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADSTREAM_TLS_CA", "env.pem")
    assert endpoint("unix:/x") == Endpoint("unix:/x")
    with pytest.raises(InvalidArgumentError, match="on which no TLS is spoken"):
        endpoint("unix:/x", tls=True)
