"""Values of the domain for tests: requests, specs and jobs, by hand and by hypothesis."""

import secrets
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradstream_server.jobs.events import Event, StateChange
from gradstream_server.jobs.job import Job, advance
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.resolve import resolve
from gradstream_server.jobs.spec import FloatArray, InlineData, Spec, SpecRequest
from gradstream_server.rpc.codec import ProtoCodec
from gradstream_server.trainers.catalogue import OPTIMIZERS
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.registry import TRAINERS

DEVICES = ("cuda:0", "cuda:1", "cpu")
LIMITS = Limits(max_epochs=1000, max_data_bytes=4096, max_predict_bytes=1024)


def table(rows: int = 6, features: int = 2, targets: int = 1, dtype: str = "float64") -> InlineData:
    """Rows of numbers with an exact linear relation."""
    x = np.arange(rows * features, dtype=dtype).reshape(rows, features) / (rows * features)
    weight = np.arange(1, targets * features + 1, dtype=dtype).reshape(targets, features)
    return InlineData(x, (x @ weight.T + 1).astype(dtype))


def resolved(trainer: str = "manual", **fields: Any) -> Spec:
    """The spec that the server would make of a request."""
    return resolve(SpecRequest(trainer, **fields), DEVICES, TRAINERS, Limits())


def new_job(spec: Spec | None = None) -> Job:
    """A job before its first event."""
    return Job(
        id=secrets.token_hex(8),
        request_id=str(uuid.uuid4()),
        spec=ProtoCodec().encode_spec(spec or resolved(device="cpu")),
        create_time=datetime.now(UTC),
    )


def begun(spec: Spec) -> Job:
    """A job whose first attempt begins."""
    return told(new_job(spec), [StateChange("QUEUED"), StateChange("RUNNING")])


def told(job: Job, events: Iterable[Event]) -> Job:
    """The job after more events of its log."""
    for event in events:
        job = advance(job, event, datetime.now(UTC))
    return job


def _arrays(shape: st.SearchStrategy[tuple[int, ...]], wild: bool) -> st.SearchStrategy[FloatArray]:
    def array(dtype: str) -> st.SearchStrategy[FloatArray]:
        width = 32 if dtype == "float32" else 64
        numbers = st.floats(width=width) if wild else st.floats(-1e6, 1e6, width=32)
        return hnp.arrays(dtype, shape, elements=numbers)

    return st.sampled_from(["float32", "float64"]).flatmap(array)


@st.composite
def _tables(draw: st.DrawFn, wild: bool) -> InlineData:
    rows, features, targets = (draw(st.integers(0 if wild else 1, 4)) for _ in range(3))
    shapes = st.just((rows, features))
    if wild:
        shapes |= hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)
    names = draw(st.sampled_from([(), ("a",), ("a", "b"), ("a", "a"), ("",)])) if wild else ()
    return InlineData(
        draw(_arrays(shapes, wild)),
        draw(_arrays(st.just((rows, targets)), wild)),
        feature_names=names,
    )


def _parts(wild: bool) -> st.SearchStrategy[dict[Any, Choice]]:
    """Optimizer, schedule and clipping: of every trainer, or anything."""
    momentum = st.fixed_dictionaries(
        {}, optional={"momentum": st.floats(0, 0.99), "nesterov": st.just(False)}
    )
    sgd = st.builds(Choice, st.just("sgd"), momentum)
    cosine = st.builds(Choice, st.sampled_from(["cosine", "polynomial", "none", "one_cycle"]))
    kinds = {
        "optimizer": sgd,
        "schedule": cosine,
        "clipping": st.builds(Choice, st.sampled_from(["none", "norm"])),
    }
    if wild:
        json = st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
        )
        names = st.sampled_from(
            ["momentum", "betas", "max_iter", "line_search_fn", "", "T_max", "milestones"]
        )
        any_part = st.builds(
            Choice,
            st.sampled_from([*OPTIMIZERS, "", "step", "cosine", "norm", "value", "Adam"]),
            st.dictionaries(names, json, max_size=3),
        )
        kinds = dict.fromkeys(kinds, any_part)
    return st.fixed_dictionaries({}, optional=kinds)


def _or_unset(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


def requests(wild: bool) -> st.SearchStrategy[SpecRequest]:
    """Requests: sensible ones for the most part, or with `wild` whatever can be said."""
    int64 = st.integers(-(2**63), 2**63 - 1)
    number = st.floats()

    def whole(least: int, most: int) -> st.SearchStrategy[int | None]:
        return _or_unset(st.one_of(st.integers(least, most), int64) if wild else st.integers(least, most))

    def real(least: float, most: float) -> st.SearchStrategy[float | None]:
        return _or_unset(st.one_of(st.floats(least, most), number) if wild else st.floats(least, most))

    shape = st.sampled_from([(), (1, 1), (1,), (2, 1), (0, 1), (1, 2)])
    parameters = st.dictionaries(
        st.sampled_from(["weight", "bias", "w"]) if wild else st.sampled_from(["weight"]),
        _arrays(shape if wild else st.just(()), wild),
        max_size=2,
    )
    flag = _or_unset(st.booleans())
    return st.builds(
        SpecRequest,
        trainer=st.sampled_from([*TRAINERS, "", "Manual"] if wild else list(TRAINERS)),
        device=_or_unset(st.sampled_from(["auto", "cpu", "cuda", "cuda:1", *(["cuda:9", "mps", ""] * wild)])),
        data=_or_unset(_tables(wild)),
        epochs=whole(1, 1000),
        learning_rate=real(1e-6, 1.0),
        batch_size=whole(1, 8),
        shuffle=flag,
        reduction=_or_unset(st.sampled_from(["mean", "sum"])),
        intercept=flag,
        l2=real(0.0, 1.0),
        dtype=_or_unset(st.sampled_from(["float32", "float64"])),
        seed=whole(0, 2**63 - 1),
        standardize=flag,
        initial_parameters=parameters,
        report_every=whole(1, 2000),
        predict_rows=_or_unset(_arrays(shape, wild)) if wild else st.none(),
        parts=_parts(wild),
    )
