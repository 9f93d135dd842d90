"""Mixed precision: 16 bits where it was asked for, nowhere else, and going on to the bit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gradstream_server.trainers import mixed_precision
from gradstream_server.trainers.catalogue import complete
from gradstream_server.trainers.errors import CannotTrain
from gradstream_server.trainers.module import ModuleTrainer
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.problem import Problem

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3)).astype(np.float32)
Y = (X @ np.array([[1], [-2], [0.5]], np.float32) + 1).astype(np.float32)
DEVICES = [
    "cpu",
    pytest.param("cuda:0", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


def problem(precision: str, optimizer: str = "adam", device: str = "cpu", **options: float) -> Problem:
    return Problem(
        X,
        Y,
        epochs=8,
        learning_rate=0.02,
        batch_size=50,
        shuffle=True,
        device=device,
        model=complete("model", Choice("mlp", {"hidden": [16]})),
        optimizer=complete("optimizer", Choice(optimizer)),
        mixed_precision=complete("mixed_precision", Choice(precision, options)),
    )


@contextmanager
def layers_seen(trainer: ModuleTrainer) -> Iterator[set[torch.dtype]]:
    """The types of what the layers of a model give while it trains."""
    seen: set[torch.dtype] = set()
    hooks = [
        layer.register_forward_hook(lambda _layer, _given, made: seen.add(made.dtype))
        for layer in trainer._model.modules()
        if isinstance(layer, nn.Linear)
    ]
    yield seen
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("precision", ["none", "bfloat16", "float16"])
def test_the_forward_pass_is_in_16_bits_and_all_else_is_not(
    precision: str, optimizer: str, device: str
) -> None:
    """A user would get the speed of full precision, or a model that is rounded to three digits."""
    # The scale that torch begins with is too large for the first gradients here.
    options = {"init_scale": 128.0} if precision == "float16" else {}
    trainer = ModuleTrainer(replace(problem(precision, optimizer, device, **options), epochs=40))
    with layers_seen(trainer) as seen:
        losses = [float(loss) for loss in trainer.train()]
    assert seen == {torch.float32 if precision == "none" else getattr(torch, precision)}
    assert losses[-1] < losses[0] / 3
    assert {array.dtype for array in trainer.state().values()} <= {np.dtype(t) for t in ("f4", "f8", "i8")}
    with layers_seen(trainer) as seen:
        assert trainer.predict(X).dtype == np.float32
    assert seen == {torch.float32}
    whole = ModuleTrainer(replace(problem("none", optimizer, device), epochs=40))
    # Later the noise of 16 bits is as large as what is left of the loss.
    np.testing.assert_allclose(
        losses[:3], [float(loss) for _, loss in zip(range(3), whole.train(), strict=False)], rtol=0.1
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("after", [0, 5])
def test_it_goes_on_to_the_bit(precision: str, after: int, device: str) -> None:
    """A job that was interrupted would go on with another scale, and leave out other updates."""
    # So large at first that updates are left out, and growing so soon that the scale moves all the time.
    options = {"init_scale": 2.0**40, "growth_interval": 3} if precision == "float16" else {}
    given = problem(precision, device=device, **options)
    undisturbed = ModuleTrainer(given)
    losses = [float(loss) for loss in undisturbed.train()]
    first, second = ModuleTrainer(given), ModuleTrainer(given)
    begun = [float(loss) for _, loss in zip(range(after), first.train(), strict=False)]
    second.resume(after, first.state())
    assert begun + [float(loss) for loss in second.train()] == losses
    assert undisturbed.state().keys() == second.state().keys()
    for name, value in undisturbed.state().items():
        assert second.state()[name].tobytes() == value.tobytes(), name


@pytest.mark.parametrize("device", DEVICES)
def test_an_update_whose_gradients_are_not_finite_is_left_out(device: str) -> None:
    """One overflow would end the training."""
    trainer = ModuleTrainer(problem("float16", device=device, init_scale=2.0**100))
    before = {name: array.tobytes() for name, array in trainer.state().items() if "0." in name}
    epochs = trainer.train()
    next(epochs)
    state = trainer.state()
    assert {name: state[name].tobytes() for name in before} == before
    assert state["mixed_precision.scale"] == 2.0**96  # half of it for each of four batches


def test_clipping_and_l2_are_of_gradients_in_their_own_size() -> None:
    """Gradients would be clipped to nothing, or l2 would."""
    for optimizer in ("adam", "adamw"):
        parts = {"clipping": complete("clipping", Choice("norm", {"max_norm": 0.1})), "l2": 0.1}
        ours = ModuleTrainer(replace(problem("float16", optimizer, init_scale=128.0), **parts))
        whole = ModuleTrainer(replace(problem("none", optimizer), **parts))
        np.testing.assert_allclose(list(ours.train()), list(whole.train()), rtol=0.02)


def test_a_state_without_its_scale_does_not_fit() -> None:
    trainer = ModuleTrainer(problem("float16"))
    list(trainer.train())
    state = {name: array for name, array in trainer.state().items() if name != "mixed_precision.scale"}
    with pytest.raises(ValueError, match=r"'mixed_precision\.scale' is missing"):
        ModuleTrainer(problem("float16")).resume(1, state)


def test_a_device_that_does_not_do_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training would be in float32 without a word."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    with pytest.raises(
        CannotTrain, match="cuda:0 does not compute in bfloat16; set mixed_precision to float16"
    ):
        mixed_precision.MixedPrecision(Choice("bfloat16"), "cuda:0")
