"""Peak memory of this process or of a card while it works."""

import ctypes
import gc
import threading
from pathlib import Path

import psutil
import torch

MEBIBYTE, GIBIBYTE = 2**20, 2**30
STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
SAMPLING_SECONDS = 0.002


class PeakMemory:
    """Context manager: the most memory in use inside, above that at entry, in MiB.

    On a card it is what PyTorch allocated there. On the CPU it is resident memory: the system's own high-water mark
    where there is one (Linux), else the largest of the samples that a thread takes. What was freed before entry is
    given back to the system first, or it would be used again uncounted.

    Attributes:
        mebibytes: everything.
        unmapped: without pages of mapped files, which the system can drop at any time (sampled; on a card as above).
    """

    def __init__(self, device: str = "cpu"):
        self.device = device

    def __enter__(self) -> "PeakMemory":
        gc.collect()
        if self.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
            self._start = (torch.cuda.memory_allocated(),) * 2
            return self
        _give_back()
        self._process = psutil.Process()
        self._marked = _forget_high_water()
        self._start = self._peak = self._now()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(SAMPLING_SECONDS):
            self._peak = tuple(map(max, self._peak, self._now()))

    def _now(self) -> tuple[int, int]:
        """Bytes resident, and those of them that are no file's."""
        memory = self._process.memory_info()
        return memory.rss, memory.rss - getattr(memory, "shared", 0)

    def __exit__(self, *_) -> None:
        if self.device != "cpu":
            peaks = (torch.cuda.max_memory_allocated(),) * 2
        else:
            self._done.set()
            self._thread.join()
            resident, unmapped = map(max, self._peak, self._now())
            peaks = max(resident, _high_water()) if self._marked else resident, unmapped
        self.mebibytes, self.unmapped = (
            (peak - start) / MEBIBYTE for peak, start in zip(peaks, self._start, strict=True)
        )


def _give_back() -> None:
    """Have the C library return freed memory to the system, where it can."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # not glibc
        pass


def _forget_high_water() -> bool:
    """Start the system's high-water mark anew; False where that cannot be done."""
    try:
        FORGET.write_text("5")
    except OSError:
        return False
    return True


def _high_water() -> int:
    """Bytes."""
    return 1024 * int(STATUS.read_text().split("VmHWM:")[1].split()[0])
