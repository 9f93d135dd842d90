"""What tools ask of any server: health, its contract by reflection, and what its processes are."""

from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tests.integration.server.calls import TIMEOUT_S, Calls
from tests.processes import descendants, maps
from tests.server import RunningServer

from gradstream.v1 import system_service_pb2

SERVING = health_pb2.HealthCheckResponse.SERVING
SERVICES = [
    "",
    "gradstream.v1.TrainingService",
    "gradstream.v1.SystemService",
    "inference.GRPCInferenceService",
]


@pytest.mark.parametrize("service", SERVICES)
def test_health(calls: Calls, service: str) -> None:
    """A load balancer would take a server that works out of service."""
    request = health_pb2.HealthCheckRequest(service=service)
    assert calls.health.Check(request, timeout=TIMEOUT_S).status == SERVING
    watch: Iterator[health_pb2.HealthCheckResponse] = calls.health.Watch(request)
    assert next(watch).status == SERVING
    watch.cancel()  # type: ignore[attr-defined]  # the iterator is the call


def test_health_of_an_unknown_service(calls: Calls) -> None:
    """A misspelt service would look healthy."""
    with pytest.raises(grpc.RpcError) as raised:
        calls.health.Check(health_pb2.HealthCheckRequest(service="nope"))
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_tells_the_contract(calls: Calls) -> None:
    """A user of grpcurl or buf curl would need our files."""
    database = ProtoReflectionDescriptorDatabase(calls.channel)
    services = set(database.get_services())
    assert {*SERVICES[1:], "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} <= services
    file = database.FindFileContainingSymbol("gradstream.v1.TrainingService")
    (service,) = file.service
    assert {"Train", "WatchJob", "CancelJob"} <= {method.name for method in service.method}


def test_an_unknown_method_says_so(calls: Calls) -> None:
    """A newer client would be told of a fault of the server."""
    with pytest.raises(grpc.RpcError) as raised:
        calls.raw("PauseEverything")(b"")
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_torch_is_in_the_workers_alone(server: RunningServer, calls: Calls) -> None:
    """The server would take seconds to start, hundreds of megabytes, and could be taken down by a job."""
    calls.system.GetServerInfo(system_service_pb2.GetServerInfoRequest())  # Waits for the first worker.
    assert not maps(server.process.pid, "libtorch")
    assert any(maps(pid, "libtorch") for pid in descendants(server.process.pid))
