"""Spares workers `torch._dynamo`, the front of `torch.compile`, until something compiles.

Each step of an optimizer of `torch.optim` imports it, to call two functions that do nothing where nothing is
compiled. It takes 40 % of the time that torch as a whole takes to import, and 70 MiB.
"""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

_NAME = "torch._dynamo"


class _StandIn(ModuleType):
    """Has the two functions; whatever else is asked for brings the real module."""

    def graph_break(self, *_: Any, **__: Any) -> None:
        """Splits what is compiled in two; here nothing is."""

    def disable(self, function: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        """Leaves a function out of what is compiled; here all of them are."""
        return function

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME]
        return getattr(importlib.import_module(_NAME), name)


def postpone() -> None:
    """Let the module wait until it is needed. Nothing happens when it has been imported already."""
    sys.modules.setdefault(_NAME, _StandIn(_NAME))
