"""Mixed precision: the forward pass in 16 bits, parameters, loss and updates in float32.

Gradients in float16 would vanish below 6e-8. So the loss is multiplied by a scale before it is walked back
through, and the gradients are divided by it; where one of them was too large for that, the update is left out
and the scale goes down (Micikevicius et al.: Mixed Precision Training, 2018).
"""

import numpy as np
import torch
from torch import Tensor, nn

from gradstream_server.trainers.errors import CannotTrain
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.problem import State

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_SCALE, _TRACKER = "mixed_precision.scale", "mixed_precision.growth_tracker"


class MixedPrecision:
    """What of an update is done otherwise in 16 bits, and the scale of gradients in float16."""

    def __init__(self, chosen: Choice, device: str) -> None:
        """
        Raises:
            CannotTrain: the device does not do it.
        """
        self._device, self._dtype = torch.device(device).type, _DTYPES[chosen.name]
        if chosen.name == "bfloat16" and self._device == "cuda" and not torch.cuda.is_bf16_supported():
            raise CannotTrain(
                f"{device} does not compute in bfloat16; set mixed_precision to float16 or none"
            )
        self._scaler = torch.amp.GradScaler(self._device, enabled=chosen.name == "float16", **chosen.options)

    def scores(self, model: nn.Module, features: Tensor) -> Tensor:
        """What the model makes of features (b, d), in float32."""
        with torch.autocast(self._device, self._dtype):
            scores: Tensor = model(features)
        return scores.float()

    def backward(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Leave the gradients of the loss with the parameters."""
        torch.autograd.backward(self._scaler.scale(loss))
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Update, unless a gradient is not finite."""
        self._scaler.step(optimizer)
        self._scaler.update()

    def state(self) -> State:
        """The scale and how many updates have kept it; nothing in bfloat16, which needs none."""
        kept = self._scaler.state_dict()
        if not kept:
            return {}
        return {_SCALE: np.array(kept["scale"]), _TRACKER: np.array(kept["_growth_tracker"])}

    def resume(self, state: State) -> None:
        """Go on with the scale of a state."""
        kept = self._scaler.state_dict()
        if kept:
            now = {"scale": float(state[_SCALE]), "_growth_tracker": int(state[_TRACKER])}
            self._scaler.load_state_dict(kept | now)
