"""The configuration: an operator is told at the start what is wrong, and what may be set is documented."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from gradstream_server.cli import serve
from gradstream_server.config import ConfigError, ServerConfig


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"address": "50051"}, "address is '50051'; it has to be HOST:PORT"),
        ({"address": "127.0.0.1:"}, "address is '127.0.0.1:'"),
        ({"address": "127.0.0.1:70000"}, "address is '127.0.0.1:70000'"),
        ({"address": "127.0.0.1:-1"}, "address is '127.0.0.1:-1'"),
        ({"address": "unix:here"}, "address is 'unix:here'; it has to be HOST:PORT"),
        ({"address": "127.0.0.1:0,"}, "address is ''; it has to be HOST:PORT"),
        ({"address": "0.0.0.0:0"}, "address is '0.0.0.0:0', which others than this machine may reach"),
        ({"address": "unix:/x,[::]:0"}, "address is '[::]:0', which others than this machine may reach"),
        ({"address": "example.org:0"}, "address is 'example.org:0', which others than this machine may"),
        ({"tls_cert": Path("c")}, "tls_cert and tls_key belong together: give both"),
        ({"tls_client_ca": Path("c")}, "tls_client_ca needs tls_cert and tls_key"),
        ({"auth": "token"}, "auth is 'token'; it has to be none, tokens, mtls or tokens,mtls"),
        ({"auth": "none,tokens"}, "auth is 'none,tokens'; it has to be none, tokens, mtls or tokens,mtls"),
        ({"auth": "mtls"}, "auth mtls needs tls_client_ca"),
        ({"auth": "tokens", "admins": "root"}, "admins names certificates, and needs auth mtls"),
        ({"workers": 0}, "workers is 0; it has to be at least 1"),
        ({"max_epochs": 0}, "max_epochs is 0"),
        ({"max_data_bytes": 0}, "max_data_bytes is 0"),
        ({"max_data_bytes": 2 << 30}, "max_data_bytes is 2147483648; gRPC carries at most"),
        ({"max_queued_jobs": 0}, "max_queued_jobs is 0"),
        ({"max_watches": -1}, "max_watches is -1"),
        ({"threads": -1}, "threads is -1; it has to be at least 0"),
        ({"stop_grace": -0.1}, "stop_grace is -0.1; it has to be at least 0"),
        ({"disconnect_grace": float("nan")}, "disconnect_grace is nan; it has to be at least 0"),
        ({"keep_ended": float("inf")}, "keep_ended is inf; it has to be at least 0"),
        ({"max_restarts": -1}, "max_restarts is -1; it has to be at least 0"),
        ({"checkpoint_interval": 0.0}, "checkpoint_interval is 0.0; it has to be above 0"),
        ({"durability": "none"}, "durability is 'none'; it has to be one of power, process"),
        ({"log_level": "loud"}, "log_level is 'loud'; it has to be one of debug, info, warning, error"),
        ({"log_format": "xml"}, "log_format is 'xml'; it has to be one of text, json"),
    ],
)
def test_a_setting_out_of_range_is_named_with_what_is_allowed(settings: dict[str, Any], text: str) -> None:
    """An operator would find out in production, from something else."""
    with pytest.raises(ConfigError) as raised:
        ServerConfig(**settings)
    assert str(raised.value).startswith(text)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:0", "127.1.2.3:1", "[::1]:50051", "localhost:65535", "unix:/x", "[::1]:1, unix:/x"]
)
def test_addresses(address: str) -> None:
    """An operator could not listen on another address."""
    assert ServerConfig(address=address).address == address


def test_others_are_served_without_tls_only_when_that_is_asked_for_by_name() -> None:
    """An operator would publish what everyone sends, or could not serve others at all."""
    assert ServerConfig(address="0.0.0.0:0", insecure=True).addresses[0].is_local is False
    ServerConfig(address="0.0.0.0:0", tls_cert=Path("c"), tls_key=Path("k"))


def test_limits_are_those_that_were_set() -> None:
    """A limit would be printed, but not enforced."""
    limits = ServerConfig(max_epochs=1, max_data_bytes=2, max_queued_jobs=3, max_watches=4).limits
    assert (limits.max_epochs, limits.max_data_bytes, limits.max_queued_jobs, limits.max_watches) == (
        1,
        2,
        3,
        4,
    )
    assert limits.max_message_bytes >= 2 + limits.max_predict_bytes


def test_workers_do_not_fight_over_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four workers of eight threads each on eight cores would be slower than one."""
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert ServerConfig(workers=4).worker_threads == 2
    assert ServerConfig(workers=16).worker_threads == 1
    assert ServerConfig(workers=4, threads=5).worker_threads == 5


def test_every_setting_is_an_option_with_help() -> None:
    """An operator could not find, or not set, what there is."""
    options = {option.name: option for option in serve.params if isinstance(option, click.Option)}
    for setting in fields(ServerConfig):
        option = options[setting.name]
        assert option.help
        # A shell that is set up for a client with a certificate would make it the server's.
        middle = "SERVE_" if setting.name.startswith("tls_") else ""
        assert option.envvar == f"GRADSTREAM_{middle}{setting.name.upper()}"
    shown = CliRunner().invoke(serve, ["--help"])
    assert shown.exit_code == 0
    assert "127.0.0.1:50051" in shown.output


def test_a_file_that_is_no_toml(tmp_path: Path) -> None:
    """An operator would read a stack trace."""
    file = tmp_path / "config.toml"
    file.write_text("workers: 1\n")
    result = CliRunner().invoke(serve, ["--config", str(file)])
    assert result.exit_code == 2
    assert str(file) in result.output.replace("\n", "")
