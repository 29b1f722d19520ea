"""Peak memory of a piece of work."""

import threading

import psutil

MEBIBYTE = 2**20


class PeakMemory:
    """Context manager: the most resident memory the process had inside, above that at entry, in MiB.

    ``mebibytes`` counts everything, ``unmapped`` leaves out pages of mapped files, which the system can drop at any
    time (where it tells them apart: on Linux).
    """

    def __enter__(self) -> "PeakMemory":
        self._process = psutil.Process()
        self._start = self._peak = self._now()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.002):
            self._peak = tuple(map(max, self._peak, self._now()))

    def _now(self) -> tuple[int, int]:
        """Bytes resident, and those of them that are no file's."""
        memory = self._process.memory_info()
        return memory.rss, memory.rss - getattr(memory, "shared", 0)

    def __exit__(self, *_) -> None:
        self._done.set()
        self._thread.join()
        self.mebibytes, self.unmapped = (
            (peak - start) / MEBIBYTE for peak, start in zip(self._peak, self._start, strict=True)
        )
