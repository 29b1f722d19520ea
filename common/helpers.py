"""Threads that share work which consists of many small operations (docs/methods/ebsynth.md, Threads)."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from threading import local
from typing import TypeVar

import torch
from torch import Tensor

Part = TypeVar("Part")
Result = TypeVar("Result")
_of_caller = local()  # .helpers, entered farther out
CPU = torch.device("cpu")


class Helpers:
    """On the CPU as many threads as torch has, each of which runs whole chains of operations on its own parts.

    Meanwhile an operation keeps to its thread: splitting each of hundreds of small ones over all cores costs more than
    it gains, most of all where other work shares the cores. Helpers inside helpers are the same. On a device there
    is one caller and one part.
    """

    def __init__(self, device: torch.device = CPU):
        self._outer: Helpers | None = getattr(_of_caller, "helpers", None)
        self._threads = torch.get_num_threads() if device.type == "cpu" and self._outer is None else 1
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> "Helpers":
        if self._outer is not None:
            return self._outer
        if self._threads > 1:
            torch.set_num_threads(1)  # threads take over what holds when they first compute
            self._pool = ThreadPoolExecutor(self._threads)
            _of_caller.helpers = self
        return self

    def __exit__(self, *_) -> None:
        if self._pool is not None:
            del _of_caller.helpers
            self._pool.shutdown()
            torch.set_num_threads(self._threads)

    def slices(self, count: int) -> list[slice]:
        """The numbers 0..count - 1 in as many parts as there are threads, on a device in one."""
        parts = max(min(self._threads, count), 1)
        return [slice(count * part // parts, count * (part + 1) // parts) for part in range(parts)]

    def each(self, work: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
        """The results for all parts, in order. Works must not write where others read."""
        parts = list(parts)
        if self._pool is None or len(parts) < 2:
            return [work(part) for part in parts]
        inference = torch.is_inference_mode_enabled()  # holds for a thread

        def alone(part: Part) -> Result:
            with torch.inference_mode(inference):
                return work(part)

        return list(self._pool.map(alone, parts))

    def pair(self, make: Callable[[int], Result]) -> tuple[Result, Result]:
        """What is made for 0, by the caller, and for 1, meanwhile if there are several threads."""
        if self._pool is None:
            return make(0), make(1)
        second = self._pool.submit(make, 1)
        try:
            return make(0), second.result()
        finally:
            wait((second,))


def pair_of(make: Callable[[int], Result]) -> tuple[Result, Result]:
    """What is made for 0, by the caller, and for 1, by another thread meanwhile if the caller has entered
    :class:`Helpers`. Neither must write where the other reads."""
    helpers = getattr(_of_caller, "helpers", None)
    return (make(0), make(1)) if helpers is None else helpers.pair(make)


class Buffers:
    """Memory of one shape that each thread has of its own and keeps: fresh memory costs more than the arithmetic."""

    def __init__(self, shape: tuple[int, ...], kind: torch.dtype):
        self._make = lambda: torch.empty(shape, dtype=kind)
        self._local = local()

    @property
    def mine(self) -> Tensor:
        """This thread's."""
        if not hasattr(self._local, "tensor"):
            self._local.tensor = self._make()
        return self._local.tensor
