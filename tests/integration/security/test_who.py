"""Who calls, and what is whose: strangers would get in, or people see and change what is not theirs."""

import io
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message
from tests.certificates import Authority
from tests.command import gradstream
from tests.server import RunningServer, running_server

from gradstream import TLS, AccessDeniedError, Client, Health, InvalidArgumentError, NotFoundError
from gradstream.v1 import (
    dataset_service_pb2,
    job_pb2,
    model_service_pb2,
    spec_pb2,
    system_service_pb2,
    training_service_pb2,
)
from gradstream_server.inference import open_inference_pb2 as pb
from gradstream_server.rpc.access import SCOPES

X, Y = np.arange(8.0).reshape(4, 2), np.arange(4.0)
M = TypeVar("M", bound=Message)
TABLE = b"a,b\n1,2\n3,4\n5,6\n"


def token(server: Path, name: str, scope: str, *options: str) -> str:
    done = gradstream("token", "create", name, "--scope", scope, "--data-dir", str(server), *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() not in done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that wants tokens, with a job, a data set and a model from before it did."""
    data = tmp_path_factory.mktemp("who") / "data"
    with running_server(data) as before, Client(before.address) as client:
        client.train(X, Y, model_name="old").result()
        client.upload(io.BytesIO(TABLE), name="old.csv")
    audit = data.with_name("audit.log")
    with running_server(data, "--auth", "tokens", "--audit-log", str(audit)) as server:
        yield server


@pytest.fixture(scope="module")
def as_(server: RunningServer) -> Iterator[Callable[..., Client]]:
    """Clients by the name of their principal; all but root have the scope train."""
    clients: dict[str, Client] = {}

    def client(name: str) -> Client:
        if name not in clients:
            scope = {"root": "admin", "reader": "read"}.get(name, "train")
            clients[name] = Client(server.address, token=token(server.data_dir, name, scope), timeout_s=60)
        return clients[name]

    yield client
    for each in clients.values():
        each.close()


def test_without_a_token_nobody_gets_in_but_health_answers(server: RunningServer) -> None:
    with Client(server.address) as client:
        with pytest.raises(
            AccessDeniedError, match="wants to know who calls; send `authorization: Bearer"
        ) as no:
            client.server_info()
        assert (no.value.code, no.value.reason) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
        with pytest.raises(AccessDeniedError):
            client.train()
        with pytest.raises(AccessDeniedError):
            client.upload(io.BytesIO(TABLE), name="t.csv")
        assert client.health() is Health.SERVING


@pytest.mark.parametrize("sent", ["gst_0123456789abcdef_" + "x" * 43, "nonsense"])
def test_a_token_that_is_none(server: RunningServer, sent: str) -> None:
    with Client(server.address, token=sent) as client, pytest.raises(AccessDeniedError) as denied:
        client.server_info()
    assert "the token is none that this server knows" in denied.value.message
    assert sent not in denied.value.message
    assert sent not in server.log.read_text()


def test_what_goes_into_no_header_is_told_before_it_is_sent(server: RunningServer) -> None:
    with pytest.raises(InvalidArgumentError, match="the token is none") as told:
        Client(server.address, token="sec\nret")
    assert "ret" not in told.value.message


def test_a_token_goes_to_nobody_on_the_way() -> None:
    with pytest.raises(InvalidArgumentError, match=r"would go to example\.org:1 without TLS"):
        Client("example.org:1", token="gst_a_b")


def test_a_revoked_token_and_its_streams_are_over(server: RunningServer) -> None:
    """Who has left, or lost his token, would see everything for as long as he stays connected."""
    text = token(server.data_dir, "leaver", "train")
    with Client(server.address, token=text) as client:
        run = client.train(X, Y, epochs=10_000_000, report_every=1000, cancel_on_disconnect=True)
        revoked = gradstream("token", "revoke", "leaver", "--data-dir", str(server.data_dir))
        assert revoked.stdout == f"revoked token {text[4:20]} of leaver\n"
        with pytest.raises(AccessDeniedError, match="it was revoked"):
            client.get(run.job)
        with pytest.raises(AccessDeniedError):
            run.result()
    again = gradstream("token", "revoke", "leaver", "--data-dir", str(server.data_dir))
    assert (again.returncode, "there is no token 'leaver'" in again.stderr) == (2, True)


def test_a_token_expires(server: RunningServer) -> None:
    text = token(server.data_dir, "guest", "read", "--expires", "1m")
    listed = gradstream("token", "ls", "--data-dir", str(server.data_dir)).stdout
    assert "guest" in listed
    assert text[21:] not in listed
    file = server.data_dir / "tokens.json"
    kept = json.loads(file.read_text())
    for each in kept["tokens"]:
        if each["name"] == "guest":
            each["expire_time"] = "2026-01-01T00:00:00+00:00"
    file.write_text(json.dumps(kept))
    expired = "the token expired on 2026-01-01 at 00:00 UTC"
    with Client(server.address, token=text) as client, pytest.raises(AccessDeniedError, match=expired):
        client.server_info()
    assert "(expired)" in gradstream("token", "ls", "--data-dir", str(server.data_dir)).stdout


def test_a_scope_allows_no_more_than_it_says(as_: Callable[..., Client]) -> None:
    reader = as_("reader")
    assert list(reader.jobs()) == []
    with pytest.raises(
        AccessDeniedError, match="CreateJob takes the scope train, and the caller has read"
    ) as no:
        reader.create()
    assert (no.value.code, no.value.reason) == ("PERMISSION_DENIED", "OUT_OF_SCOPE")
    with pytest.raises(AccessDeniedError):
        reader.train()
    with pytest.raises(AccessDeniedError):
        reader.upload(io.BytesIO(TABLE), name="t.csv")


def test_jobs_of_others_are_not_there(server: RunningServer, as_: Callable[..., Client]) -> None:
    """Every method: what one forgets would be open to everybody."""
    alice, bob, root = as_("alice"), as_("bob"), as_("root")
    run = alice.train(X, Y, model_name="house", group="g")
    run.result()
    assert {run.job} <= {job.id for job in alice.jobs()} <= {job.id for job in root.jobs()}
    assert run.job not in {job.id for job in bob.jobs()}
    assert root.get(run.job).id == run.job
    for attempt in (bob.get, bob.cancel, bob.pause, bob.resume, bob.delete, bob.replay):
        with pytest.raises(NotFoundError, match=f"there is no job '{run.job}'"):
            attempt(run.job)
    with pytest.raises(NotFoundError):
        bob.watch(run.job).result()
    # A request id is everybody's own: sweeps of two people may be the same.
    again = uuid.uuid4()
    mine = alice.create(request_id=again)
    his = bob.create(request_id=again)
    assert mine.id != his.id
    assert bob.create(request_id=again).id == his.id
    # Numbers that are known by their digest are those of one's own jobs.
    digest = run.result().receipt.data_digest
    known = spec_pb2.Spec(trainer="manual", inline_data=spec_pb2.InlineData(digest=digest))
    request = training_service_pb2.CreateJobRequest(spec=known)
    path = "/gradstream.v1.TrainingService/CreateJob"
    with pytest.raises(grpc.RpcError, match="which this server does not have"):
        ask(server, bob, path, request, job_pb2.Job)
    assert ask(server, alice, path, request, job_pb2.Job).id


def ask(server: RunningServer, as_: Client, path: str, request: Message, answer: type[M]) -> M:
    """What a plain call with the token of a client is answered."""
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary(path, type(request).SerializeToString, answer.FromString)
        return call(request, metadata=as_._transport._metadata, timeout=60)


def test_models_of_others_are_not_there(as_: Callable[..., Client]) -> None:
    alice, bob, root = as_("alice"), as_("bob"), as_("root")
    first = alice.train(X, Y, model_name="shared").result()
    assert first.model.version == bob.train(X, Y, model_name="shared").result().model.version == 1
    assert alice.train(X, Y, model_name="shared").result().model.version == 2
    assert [model.version for model in bob.models("shared")] == [1]
    assert bob.model("shared").job != alice.model("shared").job
    assert {model.name for model in root.models()} >= {"alice/shared", "bob/shared", "/old"}
    assert root.model("alice/shared").version == 2
    assert root.model("/old").version == 1
    for name in ("old", "/old", "alice/shared", alice.model("shared").job):
        with pytest.raises(NotFoundError):
            bob.model(name)
    only = alice.train(X, Y, model_name="sharee").result().model
    with pytest.raises(NotFoundError) as unknown:
        bob.model("shareee")
    assert "sharee'" not in unknown.value.message.replace("shareee'", "")
    with pytest.raises(NotFoundError):
        bob.delete_model("sharee", only.version)
    assert root.delete_model("alice/sharee", all_versions=True) == [1]


def test_predictions_of_others_models(server: RunningServer, as_: Callable[..., Client]) -> None:
    alice, bob, root = as_("alice"), as_("bob"), as_("root")
    alice.train(X, Y, model_name="asked").result()
    stub = "/inference.GRPCInferenceService/"

    def metadata(client: Client, name: str) -> pb.ModelMetadataResponse:
        request = pb.ModelMetadataRequest(name=name)
        return ask(server, client, f"{stub}ModelMetadata", request, pb.ModelMetadataResponse)

    def index(client: Client) -> set[str]:
        request = pb.RepositoryIndexRequest()
        answer = ask(server, client, f"{stub}RepositoryIndex", request, pb.RepositoryIndexResponse)
        return {model.name for model in answer.models}

    assert (metadata(alice, "asked").name, metadata(root, "alice/asked").name) == ("asked", "alice/asked")
    for name in ("asked", "alice/asked", "old"):
        with pytest.raises(grpc.RpcError) as missing:
            metadata(bob, name)
        assert missing.value.code() is grpc.StatusCode.NOT_FOUND
    assert "asked" in index(alice)
    assert "asked" not in index(bob)
    assert not any("/" in name for name in index(bob))
    assert index(root) >= {"alice/asked", "/old"}


def test_the_same_table_is_everybody_s_own(as_: Callable[..., Client]) -> None:
    alice, bob, root = as_("alice"), as_("bob"), as_("root")
    with pytest.raises(NotFoundError):
        alice.dataset(next(iter(root.datasets())).digest)
    hers = alice.upload(io.BytesIO(TABLE), name="hers.csv")
    assert bob.upload(io.BytesIO(TABLE), name="his.csv").name == "his.csv"
    digest = hers.digest
    assert (alice.dataset(digest).name, bob.dataset(digest[:8]).name) == ("hers.csv", "his.csv")
    assert [each.name for each in alice.datasets()] == ["hers.csv"]
    assert sorted(each.name for each in root.datasets()) == ["hers.csv", "his.csv", "old.csv"]
    alice.delete_dataset(digest)
    with pytest.raises(NotFoundError):
        alice.dataset(digest)
    with pytest.raises(NotFoundError):
        alice.train(dataset=digest, target_columns="b")
    assert bob.train(dataset=digest, target_columns="b").result().epochs
    bob.delete_dataset(digest)
    assert root.dataset(digest).name == "old.csv"


def test_the_audit_log_tells_who_did_what(server: RunningServer, as_: Callable[..., Client]) -> None:
    job = as_("alice").create().id
    with pytest.raises(NotFoundError):
        as_("bob").cancel(job)
    with Client(server.address) as nobody, pytest.raises(AccessDeniedError):
        nobody.get(job)
    text = server.data_dir.with_name("audit.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    told = [
        (line["principal"], line["method"].rpartition("/")[2], line["resource"], line["outcome"])
        for line in lines
    ]
    assert ("alice", "CreateJob", job, "OK") in told
    assert ("bob", "CancelJob", job, "NOT_FOUND") in told
    assert told[-1] == ("", "GetJob", "", "UNAUTHENTICATED")
    assert not {"GetJob", "ListJobs"} & {method for _, method, _, outcome in told if outcome == "OK"}
    assert all(line["time"] and line["peer"].startswith("ipv4:127.0.0.1:") for line in lines)
    for client in map(as_, ("alice", "bob")):
        secret = dict(client._transport._metadata or ())["authorization"].split("_")[-1]
        assert secret not in text + server.log.read_text()


def test_every_method_says_what_it_takes() -> None:
    """One that does not is admin's alone."""
    services = [
        training_service_pb2.DESCRIPTOR.services_by_name["TrainingService"],
        dataset_service_pb2.DESCRIPTOR.services_by_name["DatasetService"],
        model_service_pb2.DESCRIPTOR.services_by_name["ModelService"],
        system_service_pb2.DESCRIPTOR.services_by_name["SystemService"],
        pb.DESCRIPTOR.services_by_name["GRPCInferenceService"],
    ]
    assert set(SCOPES) == {f"/{each.full_name}/{method.name}" for each in services for method in each.methods}


def test_certificates_say_who_calls(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    cert, key = map(str, authority.issue("127.0.0.1"))
    tls = "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", str(authority.file)
    options = *tls, "--auth", "tokens,mtls", "--admins", "root", "--no-reflection"

    def of(name: str) -> TLS:
        return TLS(authority.file, *authority.issue(f"{name}@example.org", common_name=name))

    with running_server(tmp_path / "data", *options) as server:
        with Client(server.address, tls=of("alice")) as alice, Client(server.address, tls=of("root")) as root:
            job = alice.create().id
            assert [each.id for each in root.jobs()] == [job]
            with Client(server.address, tls=of("bob")) as bob, pytest.raises(NotFoundError):
                bob.get(job)
            # A token goes over the certificate.
            text = token(tmp_path / "data", "alice", "read")
            with Client(server.address, tls=of("bob"), token=text) as reading:
                assert reading.get(job).id == job
                with pytest.raises(AccessDeniedError):
                    reading.cancel(job)
            with (
                Client(server.address, tls=of("a/b")) as odd,
                pytest.raises(AccessDeniedError, match="'a/b'"),
            ):
                odd.server_info()
        credentials = grpc.ssl_channel_credentials(
            authority.file.read_bytes(),
            *(path.read_bytes() for path in reversed(authority.issue("x@example.org", common_name="x"))),
        )
        with grpc.secure_channel(server.address, credentials) as channel:
            info = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
            with pytest.raises(grpc.RpcError) as unknown:
                next(info(iter([b""])))
            assert unknown.value.code() is grpc.StatusCode.UNIMPLEMENTED
