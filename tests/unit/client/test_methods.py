"""The calls that the client makes are those of the contract."""

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from gradstream import methods
from gradstream.inference import open_inference_pb2 as ours
from gradstream.v1 import dataset_service_pb2, model_service_pb2, system_service_pb2, training_service_pb2
from gradstream_server.inference import open_inference_pb2 as theirs


def test_every_call_of_the_contract_is_there_with_its_messages() -> None:
    calls = {each.path: each for each in vars(methods).values() if isinstance(each, methods.Method)}
    del calls[methods.CHECK_HEALTH.path], calls[methods.MODEL_INFER.path]
    services = [
        *training_service_pb2.DESCRIPTOR.services_by_name.values(),
        *dataset_service_pb2.DESCRIPTOR.services_by_name.values(),
        *model_service_pb2.DESCRIPTOR.services_by_name.values(),
        *system_service_pb2.DESCRIPTOR.services_by_name.values(),
    ]
    contract = {f"/{s.full_name}/{m.name}": m for s in services for m in s.methods}
    assert calls.keys() == contract.keys()
    for path, call in calls.items():
        assert call.request.DESCRIPTOR is contract[path].input_type
        assert call.response.DESCRIPTOR is contract[path].output_type


def test_the_health_check_has_the_bytes_of_grpc_health() -> None:
    assert methods.CHECK_HEALTH.request().SerializeToString() == b""
    assert methods.CHECK_HEALTH.response.FromString(b"\x08\x01").value == 1


def test_predictions_have_the_bytes_of_the_open_inference_protocol() -> None:
    """The client's messages have names of their own, and must not become other messages."""
    here, there = FileDescriptorProto(), FileDescriptorProto()
    ours.DESCRIPTOR.CopyToProto(here)
    theirs.DESCRIPTOR.CopyToProto(there)
    assert str(here.message_type).replace(".gradstream.inference.", ".inference.") == str(there.message_type)
    (service,) = theirs.DESCRIPTOR.services_by_name.values()
    infer = service.methods_by_name["ModelInfer"]
    assert methods.MODEL_INFER.path == f"/{service.full_name}/{infer.name}"
    assert methods.MODEL_INFER.request.DESCRIPTOR.name == infer.input_type.name
    assert methods.MODEL_INFER.response.DESCRIPTOR.name == infer.output_type.name
