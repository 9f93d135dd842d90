"""Specs on their way in, out and through the store: what was asked for is what is trained."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from tests.domain import DEVICES, requests, resolved, table

from gradstream.v1 import spec_pb2
from gradstream_server.jobs import reference
from gradstream_server.jobs.errors import InvalidSpec
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.resolve import resolve
from gradstream_server.jobs.spec import FloatArray, InlineData, Spec, SpecRequest
from gradstream_server.rpc import specs
from gradstream_server.rpc.codec import ProtoCodec
from gradstream_server.rpc.tensors import to_tensor
from gradstream_server.trainers.catalogue import parts
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.registry import TRAINERS


def same(a: FloatArray | None, b: FloatArray | None) -> bool:
    """Whether two arrays are the same, bit for bit."""
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def assert_same(a: Spec, b: Spec) -> None:
    arrays = {"initial_parameters", "predict_rows"}
    for field in fields(Spec):
        if field.name not in arrays:
            assert getattr(a, field.name) == getattr(b, field.name), field.name
    assert same(a.predict_rows, b.predict_rows)
    assert list(a.initial_parameters) == list(b.initial_parameters)
    assert all(same(a.initial_parameters[name], b.initial_parameters[name]) for name in a.initial_parameters)


@given(requests(wild=False))
def test_a_spec_comes_back_as_it_was(request: SpecRequest) -> None:
    """After a restart a job that waited would train something else than was accepted."""
    spec = resolve(request, DEVICES, TRAINERS, Limits())
    assert_same(specs.from_message(specs.to_message(spec)), spec)
    codec = ProtoCodec()
    assert_same(codec.decode_spec(codec.encode_spec(spec)), spec)


@given(requests(wild=False))
def test_a_resolved_spec_sent_again_resolves_to_itself(request: SpecRequest) -> None:
    """A user who trains again from a receipt would get other choices."""
    spec, data = resolve(request, DEVICES, TRAINERS, Limits()), request.data or reference.DATA
    message = specs.to_message(spec)
    if request.data:
        message.inline_data.features.CopyFrom(to_tensor(data.features))
        message.inline_data.targets.CopyFrom(to_tensor(data.targets))
    if spec.predict_rows is None:
        message.predict_rows.CopyFrom(to_tensor(np.zeros((0, data.features.shape[1]))))
    again = resolve(specs.to_request(message), DEVICES, TRAINERS, Limits())
    assert_same(again, spec)


@pytest.mark.parametrize("fields", [{}, {"data": table()}], ids=["reference", "data"])
def test_a_resolved_spec_has_every_field_set(fields: dict[str, object]) -> None:
    """A user would not see which choices the server has made."""
    message = specs.to_message(resolved(initial_parameters={"weight": np.array(0.5)}, **fields))
    unset = {field.name for field in spec_pb2.Spec.DESCRIPTOR.fields} - {
        f.name for f, _ in message.ListFields()
    }
    data = {"inline_data", "dataset"} if not fields else {"dataset", "predict_rows"}
    nothing = {"classes", "validation", "stopping"}
    assert unset == data | nothing, "there are none for numbers, and the others were not asked for"


def test_classes_come_back_as_they_were() -> None:
    """After a restart probabilities would be of nobody knows which classes."""
    targets = np.array([[0.0], [1], [2]])
    data = InlineData(np.arange(3.0)[:, None], targets)
    spec = resolved("module", data=data, parts={"model": Choice("softmax")})
    assert_same(specs.from_message(specs.to_message(spec)), spec)
    assert spec.data.classes == ("0", "1", "2")


def test_a_spec_of_an_older_server_gets_the_parts_of_then() -> None:
    """A job that waited while the server was upgraded would fail."""
    message = specs.to_message(resolved())
    for kind in parts():
        message.ClearField(kind)
    assert specs.from_message(message).parts == resolved().parts


def test_an_option_without_a_value_is_refused() -> None:
    """A client's fault in building a message would be one of the server."""
    spec = spec_pb2.Spec(trainer="manual", optimizer=spec_pb2.Choice(name="sgd"))
    spec.optimizer.options.fields["momentum"].SetInParent()
    with pytest.raises(InvalidSpec, match=r"spec\.optimizer\.options\.momentum: has no value"):
        specs.to_request(spec)


def test_a_resolved_spec_leaves_the_numbers_of_its_data_out() -> None:
    """The log of a job would hold all its data, once an event."""
    message = specs.to_message(resolved(data=table(rows=4, features=3, targets=2)))
    inline = message.inline_data
    assert (inline.features.data, inline.targets.data) == (b"", b"")
    assert (list(inline.features.shape), list(inline.targets.shape)) == ([4, 3], [4, 2])
    assert list(inline.feature_names) == ["x1", "x2", "x3"]
    assert list(inline.target_names) == ["y1", "y2"]
    assert len(inline.digest) == 64


def test_equal_specs_have_equal_bytes_and_others_other_bytes() -> None:
    """The same request sent again would be refused, or another one taken for it."""
    codec = ProtoCodec()
    spec = resolved(data=table())
    assert codec.encode_spec(spec) == codec.encode_spec(resolved(data=table()))
    others = [
        resolved(data=table(rows=7)),
        resolved(data=table(dtype="float32")),
        replace(spec, seed=1),
        replace(spec, standardize=True),
        replace(spec, predict_rows=np.zeros((1, 2))),
    ]
    assert len({codec.encode_spec(other) for other in [spec, *others]}) == 6


def test_what_is_unset_is_the_servers_choice() -> None:
    """A client that sends only what the user said would ask for zeros."""
    asked = specs.to_request(spec_pb2.Spec(trainer="manual"))
    assert asked == SpecRequest("manual")
    zeros = specs.to_request(spec_pb2.Spec(trainer="manual", epochs=0, l2=0, shuffle=False, seed=0))
    assert (zeros.epochs, zeros.l2, zeros.shuffle, zeros.seed) == (0, 0.0, False, 0)


def test_targets_may_be_a_single_column() -> None:
    """A user with one target would have to reshape it."""
    data = spec_pb2.InlineData(features=to_tensor(np.zeros((3, 2))), targets=to_tensor(np.arange(3.0)))
    asked = specs.to_request(spec_pb2.Spec(trainer="manual", inline_data=data))
    assert asked.data
    assert asked.data.targets.tolist() == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (spec_pb2.Spec(gradient_reduction=7), "spec.gradient_reduction: is 7"),
        (spec_pb2.Spec(dtype=9), "spec.dtype: is 9; it has to be DTYPE_FLOAT32 or DTYPE_FLOAT64"),
        (spec_pb2.Spec(predict_rows=spec_pb2.Tensor()), "spec.predict_rows.dtype: is missing"),
        (spec_pb2.Spec(inline_data=spec_pb2.InlineData()), "spec.inline_data.features.dtype: is missing"),
        (
            spec_pb2.Spec(
                initial_parameters=[spec_pb2.Parameter(name="weight", value=to_tensor(np.array(0.0)))] * 2
            ),
            "spec.initial_parameters[1].name: is 'weight' a second time",
        ),
    ],
)
def test_what_no_domain_value_can_say_is_refused_by_path(spec: spec_pb2.Spec, text: str) -> None:
    """A user of another language would get a fault of the server instead of the name of the field."""
    with pytest.raises(InvalidSpec) as raised:
        specs.to_request(spec)
    assert str(raised.value).startswith(text)


def test_the_reference_experiment_is_not_said_to_have_been_sent() -> None:
    """A restarted server would look for a file of data that nobody has sent."""
    message = specs.to_message(resolved())
    assert not message.HasField("inline_data")
    assert specs.from_message(message).data is reference.SUMMARY
