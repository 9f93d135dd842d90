"""The names that programs import: one that is renamed or missing breaks them."""

import inspect

import gradstream


def test_exported_names() -> None:
    assert set(gradstream.__all__) == {
        "AccessDeniedError", "AlreadyExistsError", "AsyncClient", "AsyncModel", "AsyncReplay", "AsyncRun",
        "AsyncSweep",
        "Bundle", "BundleError", "CallCancelledError", "Checkpoint", "Client", "Column", "ColumnType",
        "Completed", "Dataset",
        "DeadlineExceededError", "Device",
        "EpochUpdate", "EpochUpdates", "Event", "FailedPreconditionError", "Fault", "GradientCheck",
        "GradstreamError",
        "Health", "Heartbeat", "InputColumn", "InvalidArgumentError", "Job", "JobCancelledError",
        "JobEndedError",
        "JobFailedError", "JobState", "JobWarning", "Limits", "LogUniform", "Model", "ModelVersion",
        "NotFoundError",
        "Origin", "OutOfRangeError", "ParameterGradient", "Part", "PartInfo", "Receipt", "Replay",
        "ReplayResult", "ResourceExhaustedError",
        "Run", "Scaling",
        "ServerFaultError", "ServerInfo",
        "ServerUnreachableError", "Spec", "SpecOptions", "Started", "StateChange", "Sweep", "SweepRun", "TLS",
        "TrainerInfo", "Uniform",
        "UnavailableError", "UnsupportedError", "Validation", "Violation", "__version__", "load",
    }  # fmt: skip


def test_every_exported_name_is_there() -> None:
    for name in gradstream.__all__:
        value = getattr(gradstream, name)
        assert name == "__version__" or value.__name__ == name


def test_every_error_is_exported() -> None:
    def tree(kind: type[Exception]) -> set[str]:
        return {kind.__name__}.union(*(tree(each) for each in kind.__subclasses__()))

    assert tree(gradstream.GradstreamError) <= set(gradstream.__all__)


def test_both_clients_offer_the_same() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert public(gradstream.Client) == public(gradstream.AsyncClient)
    assert public(gradstream.Run) == public(gradstream.AsyncRun)
    assert public(gradstream.Model) == public(gradstream.AsyncModel)
    assert public(gradstream.Replay) == public(gradstream.AsyncReplay)
    assert public(gradstream.Sweep) == public(gradstream.AsyncSweep)


def test_both_clients_take_the_same() -> None:
    def parameters(kind: type, name: str) -> list[tuple[str, object]]:
        found = inspect.signature(getattr(kind, name)).parameters.values()
        return [(each.name, each.default) for each in found]

    for here, there in ((gradstream.Client, gradstream.AsyncClient), (gradstream.Run, gradstream.AsyncRun)):
        for name in ("__init__", *dir(here)):
            if inspect.isfunction(getattr(here, name)) and (name == "__init__" or name[0] != "_"):
                assert parameters(here, name) == parameters(there, name), name


def test_help_for_training_names_every_option() -> None:
    text = gradstream.Client.train.__doc__ or ""
    for option in gradstream.SpecOptions.__annotations__:
        assert f"            {option}: " in text
