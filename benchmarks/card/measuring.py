"""Time, memory and arithmetic of a piece of work on the host's device; the host must be importable."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import comfy.model_management as management
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.card.results import Results

GIB = 1024**3
LIMIT = 0.6 * 800e12  # FLOP/s: 60 % of what an H100 gives a large half-precision matrix product


@dataclass
class Card:
    """What the parts are given.

    Attributes:
        memory: "plain" or "dynamic", how the host places weights.
        tiny: miniatures instead; quick: fewer steps.
        until: of ``time.monotonic``, when to have finished.
        profiles: file that profiles are added to, or None.
    """

    results: Results
    memory: str
    tiny: bool
    quick: bool
    until: float
    profiles: Path | None
    part: str = ""

    @property
    def device(self) -> torch.device:
        return management.get_torch_device()

    def steps(self, published: int) -> int:
        return 2 if self.tiny else min(published, 8) if self.quick else published

    @property
    def seconds_left(self) -> float:
        return self.until - time.monotonic()

    def row(self, job: str, **values) -> None:
        """A row of the table of speed."""
        self.results.add("speed", job=job, memory=self.memory, **values)

    def profile(self, name: str, work: Callable[[], object]) -> None:
        """Run ``work`` once more under PyTorch's profiler, if that was asked for."""
        if self.profiles is None or self.memory != "plain":
            return
        kinds = [torch.profiler.ProfilerActivity.CPU]
        if self.device.type == "cuda":
            kinds.append(torch.profiler.ProfilerActivity.CUDA)
        with torch.profiler.profile(activities=kinds) as profile:
            work()
            synchronise()
        averages = profile.key_averages()
        order = ("self_device_time_total", "self_cpu_time_total") if len(kinds) > 1 else ("self_cpu_time_total",)
        tables = [averages.table(sort_by=key, row_limit=40, max_name_column_width=90) for key in order]
        with self.profiles.open("a") as file:
            print(f"=== {name}", *tables, sep="\n", file=file)


@dataclass
class Measured:
    """``seconds`` and, on a card, the peak of memory: ``allocated`` in tensors, ``reserved`` from the driver, GiB."""

    seconds: float
    allocated: float | None
    reserved: float | None

    def peaks(self) -> dict:
        return {"gib_allocated": self.allocated, "gib_reserved": self.reserved}


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measured(work: Callable[[], object]) -> tuple[object, Measured]:
    """What ``work`` returns, and what it took."""
    cuda = torch.cuda.is_available()
    management.soft_empty_cache()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    synchronise()
    start = time.perf_counter()
    result = work()
    synchronise()
    seconds = time.perf_counter() - start
    if not cuda:
        return result, Measured(seconds, None, None)
    return result, Measured(seconds, torch.cuda.max_memory_allocated() / GIB, torch.cuda.max_memory_reserved() / GIB)


class Moments:
    """The times at which something was reached, the device's work included."""

    def __init__(self):
        self.at = [self._now()]

    def __call__(self, *_) -> None:
        self.at.append(self._now())

    @staticmethod
    def _now() -> float:
        synchronise()
        return time.perf_counter()

    def median(self, skip: int = 1) -> float:
        """Median seconds between neighbours, the first ``skip`` left out."""
        spans = [after - before for before, after in zip(self.at, self.at[1:], strict=False)]
        return statistics.median(spans[skip:] or spans)


def repeated(work: Callable[[], object], times: int) -> float:
    """Median seconds of ``work``, once unmeasured first."""
    moments = Moments()
    for _ in range(times + 1):
        work()
        moments()
    return moments.median()


def counted(work: Callable[[], object]) -> float:
    """Floating-point operations of the matrix products, convolutions and attentions in ``work``. On the CPU PyTorch
    does not count attention."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def shares(flops: float, seconds: float) -> dict:
    """Of a row: the arithmetic, the time it takes at :data:`LIMIT`, and how many times that was taken."""
    limit = flops / LIMIT
    return {"tflop": flops / 1e12, "limit_s": limit, "times_limit": seconds / limit if limit else None}


@contextlib.contextmanager
def as_card(gib: float) -> Iterator[None]:
    """Make the host and PyTorch believe in a card of so much memory."""
    budget, total = int(gib * GIB), torch.cuda.get_device_properties(0).total_memory
    real = management.get_free_memory

    def free_memory(device=None, torch_free_too=False):
        if device is not None and torch.device(device).type == "cpu":
            return real(device, torch_free_too)
        reserved, allocated = torch.cuda.memory_reserved(), torch.cuda.memory_allocated()
        unused = reserved - allocated
        return (budget - reserved + unused, unused) if torch_free_too else budget - reserved + unused

    management.unload_all_models()
    management.soft_empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, budget / total))
    management.get_free_memory = free_memory
    try:
        yield
    finally:
        management.get_free_memory = real
        torch.cuda.set_per_process_memory_fraction(1.0)
        management.unload_all_models()
