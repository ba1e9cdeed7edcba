"""Counts and times the calls of the engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from nodeorch.meters import CallMeter
from nodeorch.ports import EngineError


class _Counting(Protocol):
    calls: CallMeter


S = TypeVar("S", bound=_Counting)
P = ParamSpec("P")
T = TypeVar("T")


def counted(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Under the method's name. What it calls of its own kind is counted as well."""
    operation = method.__name__

    @wraps(method)
    async def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        began, result = time.monotonic(), "ok"
        try:
            return await method(self, *args, **kwargs)
        except EngineError as error:
            result = error.kind
            raise
        except BaseException:
            result = "abandoned"
            raise
        finally:
            self.calls.add(operation, result, time.monotonic() - began)

    return call
