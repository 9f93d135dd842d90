"""TLS between real servers and clients, and what is said where it cannot be."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.certificates import LONG_AGO, Authority
from tests.command import gradstream
from tests.server import RunningServer, environment, running_server

from gradstream import TLS, Client, GradstreamError, Health, InvalidArgumentError, ServerUnreachableError
from gradstream.aio import AsyncClient

Certificate = tuple[Path, Path]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody has heard of."""
    return Authority(tmp_path_factory.mktemp("strangers"))


@contextmanager
def serving(folder: Path, certificate: Certificate, *args: str) -> Iterator[RunningServer]:
    cert, key = map(str, certificate)
    with running_server(folder / "data", "--tls-cert", cert, "--tls-key", key, *args) as server:
        yield server


@pytest.fixture(scope="module")
def server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that anybody may call, with TLS."""
    with serving(tmp_path_factory.mktemp("tls"), authority.issue("127.0.0.1", "localhost")) as server:
        yield server


@pytest.fixture(scope="module")
def closed(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that wants to see certificates of clients."""
    certificate = authority.issue("127.0.0.1")
    with serving(
        tmp_path_factory.mktemp("mtls"), certificate, "--tls-client-ca", str(authority.file)
    ) as server:
        yield server


def refused(server: RunningServer, tls: TLS | None) -> ServerUnreachableError:
    """How a client is told that it cannot connect."""
    with Client(server.address, tls=tls, patience_s=5, timeout_s=5) as client:
        with pytest.raises(ServerUnreachableError) as raised:
            client.server_info()
        with pytest.raises(ServerUnreachableError) as of_a_stream:
            client.train()
    assert str(of_a_stream.value) == str(raised.value)
    return raised.value


async def test_a_run_over_tls(server: RunningServer, authority: Authority) -> None:
    """Whoever is on the way would read the data, and could change them."""
    with Client(server.address, tls=TLS(authority.file)) as client:
        assert client.train().result().predictions == pytest.approx(10, abs=0.1)
        assert client.health() is Health.SERVING
    async with AsyncClient(server.address, tls=TLS(authority.file)) as client:
        assert (await (await client.train()).result()).epochs == 20


def test_clients_show_their_certificate(closed: RunningServer, authority: Authority) -> None:
    """The server could not tell who belongs to it."""
    cert, key = authority.issue("alice@example.org")
    with Client(closed.address, tls=TLS(authority.file, cert, key)) as client:
        assert client.health() is Health.SERVING


def test_commands_over_tls(closed: RunningServer, authority: Authority) -> None:
    """A container would be taken for dead, and people could not use what their programs do."""
    cert, key = authority.issue("alice@example.org")
    options = "--tls-ca", str(authority.file), "--tls-cert", str(cert), "--tls-key", str(key)
    assert gradstream("health", *options, server=closed.address).stdout == "SERVING\n"
    assert "f(5) = 10.000" in gradstream("train", "--plain", *options, server=closed.address).stdout
    without = gradstream("train", server=closed.address)
    assert (without.returncode, without.stdout) == (3, "")
    assert without.stderr.startswith(
        f"Error: the server at {closed.address} speaks TLS, and was called without"
    )


def test_plaintext_on_a_port_of_tls(server: RunningServer) -> None:
    error = refused(server, None)
    assert error.reason == "TLS_WANTED"
    assert f"{server.address} speaks TLS, and was called without: name the authority" in error.message


def test_an_authority_that_is_not_trusted(server: RunningServer, strangers: Authority) -> None:
    error = refused(server, TLS(strangers.file))
    assert error.reason == "CERTIFICATE_UNTRUSTED"
    assert "of an authority that is not trusted here" in error.message
    assert refused(server, TLS()).reason == "CERTIFICATE_UNTRUSTED"


def test_a_client_without_certificate(closed: RunningServer, authority: Authority) -> None:
    error = refused(closed, TLS(authority.file))
    assert error.reason == "CLIENT_CERTIFICATE_MISSING"
    assert "wants to see a certificate of the client: give it by --tls-cert" in error.message


def test_a_client_with_the_certificate_of_strangers(
    closed: RunningServer, authority: Authority, strangers: Authority
) -> None:
    error = refused(closed, TLS(authority.file, *strangers.issue("mallory@example.org")))
    assert error.reason == "CLIENT_CERTIFICATE_REFUSED"


async def test_tls_on_a_port_without(authority: Authority, tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        error = refused(server, TLS(authority.file))
        async with AsyncClient(server.address, tls=TLS(authority.file)) as client:
            with pytest.raises(ServerUnreachableError) as raised:
                await client.server_info()
    assert error.reason == raised.value.reason == "TLS_NOT_SPOKEN"


def test_a_certificate_is_replaced_without_a_restart(authority: Authority, tmp_path: Path) -> None:
    """Certificates live for weeks: a server would have to be stopped as often, or fail when one expires."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def install(certificate: Certificate) -> None:
        for source, target in zip(certificate, (cert, key), strict=True):
            shutil.copy(source, target)

    install(authority.issue("example.org"))
    with serving(tmp_path, (cert, key)) as server:
        of_another = refused(server, TLS(authority.file))
        assert of_another.reason == "CERTIFICATE_OF_ANOTHER"
        assert "is not for '127.0.0.1': call it by a name that is in it" in of_another.message
        install(authority.issue("127.0.0.1", until=LONG_AGO))
        assert refused(server, TLS(authority.file)).reason == "CERTIFICATE_EXPIRED"
        install(authority.issue("127.0.0.1"))
        with Client(server.address, tls=TLS(authority.file)) as client:
            assert client.health() is Health.SERVING
            cert.write_text("not any more")
            with Client(server.address, tls=TLS(authority.file)) as another:
                assert another.health() is Health.SERVING
        assert "the certificate of before is used on" in server.log.read_text()


def test_files_that_are_no_certificates_are_refused_at_the_start(
    authority: Authority, tmp_path: Path
) -> None:
    """The server would start, and nobody could connect."""
    cert, _ = authority.issue("127.0.0.1")
    _, key = authority.issue("127.0.0.1")
    for given in ((cert, key), (cert, cert), (tmp_path / "none", key)):
        with pytest.raises(AssertionError, match="did not start"), serving(tmp_path, given):
            pass
    log = (tmp_path / "data.log").read_text()
    assert (
        f"{cert} and {key} are no certificate and its key, in PEM and without a password: key values" in log
    )
    assert f"cannot read {tmp_path / 'none'}: No such file or directory" in log


@pytest.mark.parametrize("content", [None, "no PEM"])
def test_files_of_a_client_that_cannot_be_used(tmp_path: Path, content: str | None) -> None:
    if content:
        (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(InvalidArgumentError, match=r"ca\.pem"):
        Client("127.0.0.1:1", tls=TLS(tmp_path / "ca.pem"))


def test_a_socket_beside_a_port(authority: Authority, tmp_path: Path) -> None:
    """Probes of the same machine would need certificates."""
    path = tmp_path / "s.sock"
    cert, key = map(str, authority.issue("127.0.0.1"))
    address = f"127.0.0.1:0,unix:{path}"
    tls = "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", str(authority.file)
    with running_server(tmp_path / "data", *tls, address=address) as server:
        port, socket_address = server.address.split(", ")
        assert socket_address == f"unix:{path}"
        with Client(socket_address) as client:
            assert client.train().result().epochs == 20
        with pytest.raises(GradstreamError), Client(port, timeout_s=1) as client:
            client.server_info()
        # gRPC would take the socket from the server that has it.
        with (
            pytest.raises(AssertionError, match=f"cannot listen on unix:{path}: it is in use"),
            running_server(tmp_path / "other", address=socket_address),
        ):
            pass
    with socket.socket(socket.AF_UNIX) as left, pytest.raises(OSError):  # noqa: PT011
        left.connect(str(path))


def test_plaintext_for_others_is_refused_until_it_is_asked_for(tmp_path: Path) -> None:
    """Data and models would be everyone's who is on the way."""
    with (
        pytest.raises(AssertionError, match="others than this machine may reach, and without TLS everyone"),
        running_server(tmp_path / "data", address="0.0.0.0:0"),
    ):
        pass
    asked = environment(GRADSTREAM_INSECURE="true")
    with running_server(tmp_path / "data", address="0.0.0.0:0", env=asked) as server:
        with Client("127.0.0.1:" + server.address.rpartition(":")[2]) as client:
            assert client.health() is Health.SERVING
        assert "no TLS: everyone on the way reads and changes what is sent" in server.log.read_text()
